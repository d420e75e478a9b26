SELECT w.id, w.host, w.pid, w.version, w.managed, w.started_at, w.last_seen, w.draining_at, j.id, j.tool,
       EXISTS (SELECT 1 FROM duties WHERE name = ?1 AND worker = w.id)
FROM workers w LEFT JOIN jobs j ON j.state = 'running' AND j.worker = w.id
WHERE w.stopped_at IS NULL ORDER BY w.started_at, w.id
