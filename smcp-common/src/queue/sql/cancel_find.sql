SELECT num, state, attempt, failures, effect, max_attempts, retry, cancel_at IS NOT NULL, workflow FROM jobs WHERE id = ?1
