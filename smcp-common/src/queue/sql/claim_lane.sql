-- The first group after (?1, ?2) in which jobs wait, a lane's jobs of one plugin: its best job, and whether the lane is
-- busy. The order is the index's.
SELECT j.lane, j.plugin, EXISTS (SELECT 1 FROM jobs r WHERE r.state = 'running' AND r.lane = j.lane), j.num, j.priority, j.run_at
FROM jobs j WHERE j.state = 'queued' AND j.due = 1 AND (j.lane, j.plugin) > (?1, ?2)
ORDER BY j.lane, j.plugin, j.priority DESC, j.run_at, j.num LIMIT 1
