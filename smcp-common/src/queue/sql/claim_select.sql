-- The best job of each free lane, then the best of those. Walks lanes, not jobs: a deep backlog behind a busy
-- lane costs one step. Jobs without a lane are a group of their own that is always free.
WITH RECURSIVE lanes (lane) AS (
  SELECT min(lane) FROM jobs WHERE state = 'queued' AND due = 1
  UNION ALL
  SELECT (SELECT min(j.lane) FROM jobs j WHERE j.state = 'queued' AND j.due = 1 AND j.lane > lanes.lane)
  FROM lanes WHERE lanes.lane IS NOT NULL
), heads (num) AS (
  SELECT (SELECT j.num FROM jobs j WHERE j.state = 'queued' AND j.due = 1 AND j.lane = lanes.lane
          ORDER BY j.priority DESC, j.run_at, j.num LIMIT 1)
  FROM lanes
  WHERE lanes.lane IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM jobs r WHERE r.state = 'running' AND r.lane = lanes.lane)
  UNION ALL
  SELECT (SELECT j.num FROM jobs j WHERE j.state = 'queued' AND j.due = 1 AND j.lane IS NULL
          ORDER BY j.priority DESC, j.run_at, j.num LIMIT 1)
)
SELECT jobs.num, jobs.id, jobs.tool, jobs.plugin, jobs.agent, jobs.arguments, jobs.timeout_ms, jobs.attempt,
       jobs.failures, jobs.effect, jobs.max_attempts
FROM heads CROSS JOIN jobs ON jobs.num = heads.num
ORDER BY jobs.priority DESC, jobs.run_at, jobs.num LIMIT 1
