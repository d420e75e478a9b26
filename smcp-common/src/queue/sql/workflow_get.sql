SELECT id, agent, name, definition, rules, state, revision, schedule, cancel_at, cancel_by, cancel_reason, error_code,
       error_message, created_at, finished_at
FROM workflows WHERE id = ?1
