-- Jobs without a lane are a group of their own that is always free.
SELECT num, priority, run_at FROM jobs WHERE state = 'queued' AND due = 1 AND lane IS NULL
ORDER BY priority DESC, run_at, num LIMIT 1
