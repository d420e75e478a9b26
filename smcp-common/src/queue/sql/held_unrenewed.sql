SELECT num, id, attempt, failures, effect, max_attempts, retry, cancel_at IS NOT NULL, output_bytes, workflow FROM jobs
WHERE num = ?1 AND state = 'running' AND attempt = ?2 AND lease_until = ?3
