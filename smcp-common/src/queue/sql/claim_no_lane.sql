-- The best job without a lane of the first plugin after ?1 that has some. They wait for nobody.
SELECT plugin, num, priority, run_at FROM jobs WHERE state = 'queued' AND due = 1 AND lane IS NULL AND plugin > ?1
ORDER BY plugin, priority DESC, run_at, num LIMIT 1
