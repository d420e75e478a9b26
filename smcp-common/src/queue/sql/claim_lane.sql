-- The first lane from ?1 on in which jobs wait, and whether it is busy; with the best job of the first agent of its first plugin.
-- The order is the index's.
SELECT j.lane, EXISTS (SELECT 1 FROM jobs r WHERE r.state = 'running' AND r.lane = j.lane), j.plugin, j.agent, j.num, j.priority, j.run_at
FROM jobs j WHERE j.state = 'queued' AND j.due = 1 AND j.lane >= ?1
ORDER BY j.lane, j.plugin, j.agent, j.priority DESC, j.run_at, j.num LIMIT 1
