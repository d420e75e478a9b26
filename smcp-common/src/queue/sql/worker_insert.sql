INSERT INTO workers (id, host, pid, version, managed, started_at, last_seen, sandbox) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)
