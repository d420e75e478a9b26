-- The workers that have given a sign of life since ?1, and how many of them have a job.
SELECT count(*), coalesce(sum(EXISTS (SELECT 1 FROM jobs WHERE jobs.state = 'running' AND jobs.worker = workers.id)), 0)
FROM workers WHERE stopped_at IS NULL AND last_seen >= ?1
