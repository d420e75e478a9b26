INSERT INTO retired_tools (name, plugin, retired_at) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET plugin = excluded.plugin, retired_at = excluded.retired_at
