SELECT num, state, attempt, failures, effect, max_attempts, cancel_at IS NOT NULL, agent FROM jobs WHERE id = ?1
