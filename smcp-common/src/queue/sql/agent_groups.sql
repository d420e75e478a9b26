INSERT INTO agents (name, groups, created_at, created_by) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET groups = excluded.groups
