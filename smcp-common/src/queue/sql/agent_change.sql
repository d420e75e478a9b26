-- The first change of one that is built in makes its row.
INSERT INTO agents (name, groups, max_running, created_at, created_by) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name) DO UPDATE SET groups = excluded.groups, max_running = excluded.max_running
