INSERT INTO limits (agent, rule, used, free_at) VALUES (?1, ?2, 1, ?3)
ON CONFLICT (agent, rule) DO UPDATE SET used = used + 1, free_at = excluded.free_at
RETURNING id, used
