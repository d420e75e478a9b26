INSERT INTO attachments (agent, tools, updated_at) VALUES (?1, ?2, ?3)
ON CONFLICT (agent) DO UPDATE SET tools = excluded.tools, updated_at = excluded.updated_at
