SELECT num, state, attempt, priority, tool, workflow, EXISTS (SELECT 1 FROM session_calls WHERE session_calls.job = jobs.id), approval_round
FROM jobs WHERE id = ?1
