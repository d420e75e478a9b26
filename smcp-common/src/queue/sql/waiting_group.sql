-- The jobs of an agent and a plugin in a lane, best first, as many as are counted.
SELECT num, priority, run_at FROM jobs
WHERE state = 'queued' AND due = 1 AND lane IS ?1 AND plugin = ?2 AND agent = ?3 AND priority >= ?4
ORDER BY priority DESC, run_at, num LIMIT ?5
