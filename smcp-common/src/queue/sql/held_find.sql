-- The fence: a worker that lost its lease finds no row and can change nothing.
SELECT num, failures, effect, max_attempts, cancel_at IS NOT NULL, output_bytes
FROM jobs WHERE id = ?1 AND state = 'running' AND attempt = ?2 AND worker = ?3
