-- The fence: a worker that lost its lease finds no row and can change nothing.
SELECT num, id, attempt, failures, effect, max_attempts, retry, cancel_at IS NOT NULL, output_bytes, workflow
FROM jobs WHERE id = ?1 AND state = 'running' AND attempt = ?2 AND worker = ?3
