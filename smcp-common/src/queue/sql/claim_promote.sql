-- Bounded, so that a hundred thousand jobs falling due together do not hold the write lock for long.
UPDATE jobs SET due = 1
WHERE num IN (SELECT num FROM jobs WHERE state = 'queued' AND due = 0 AND run_at <= ?1 ORDER BY run_at LIMIT 1000)
