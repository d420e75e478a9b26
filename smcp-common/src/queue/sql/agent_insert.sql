-- One that was revoked may come back, with what it is given now.
INSERT INTO agents (name, groups, max_running, created_at, created_by) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name) DO UPDATE
SET groups = excluded.groups, max_running = excluded.max_running, created_at = excluded.created_at,
    created_by = excluded.created_by, revoked_at = NULL
