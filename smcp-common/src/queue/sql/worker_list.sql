-- The index is named, since SQLite would rather make one of all jobs for each look than walk that of the running ones.
SELECT w.id, w.host, w.pid, w.version, w.managed, w.started_at, w.last_seen, w.draining_at, j.id, j.tool,
       EXISTS (SELECT 1 FROM duties WHERE name = ?1 AND worker = w.id), w.sandbox
FROM workers w LEFT JOIN jobs j INDEXED BY jobs_running ON j.state = 'running' AND j.worker = w.id
WHERE w.stopped_at IS NULL ORDER BY w.started_at, w.id
