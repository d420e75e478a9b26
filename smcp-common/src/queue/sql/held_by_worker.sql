SELECT num, id, attempt, failures, effect, max_attempts, cancel_at IS NOT NULL, agent FROM jobs
WHERE state = 'running' AND worker = ?1
