-- The best job of the next agent with jobs of a plugin in a lane, or without one.
SELECT plugin, agent, num, priority, run_at FROM jobs
WHERE state = 'queued' AND due = 1 AND lane IS ?1 AND plugin = ?2 AND agent > ?3
ORDER BY agent, priority DESC, run_at, num LIMIT 1
