SELECT name, groups, max_running, created_at, created_by, revoked_at FROM agents WHERE name = ?1
