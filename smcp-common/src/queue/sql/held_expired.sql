SELECT num, id, attempt, failures, effect, max_attempts, retry, cancel_at IS NOT NULL, output_bytes, workflow FROM jobs
WHERE state = 'running' AND lease_until < ?1 LIMIT 100
