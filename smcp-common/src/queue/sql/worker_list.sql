SELECT w.id, w.host, w.pid, w.version, w.started_at, w.last_seen, (SELECT id FROM jobs WHERE state = 'running' AND worker = w.id)
FROM workers w WHERE w.stopped_at IS NULL ORDER BY w.id
