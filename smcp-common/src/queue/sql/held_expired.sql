SELECT num, id, attempt, failures, effect, max_attempts, cancel_at IS NOT NULL, agent FROM jobs
WHERE state = 'running' AND lease_until < ?1 LIMIT 100
