-- The first lane from ?1 on in which jobs wait: the best job of its first plugin, and whether the lane is busy. The order is
-- the index's.
SELECT j.lane, j.plugin, EXISTS (SELECT 1 FROM jobs r WHERE r.state = 'running' AND r.lane = j.lane), j.num, j.priority, j.run_at
FROM jobs j WHERE j.state = 'queued' AND j.due = 1 AND j.lane >= ?1
ORDER BY j.lane, j.plugin, j.priority DESC, j.run_at, j.num LIMIT 1
