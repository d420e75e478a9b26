SELECT id, agent, name, definition, rules, state, revision, schedule, cancel_at, cancel_by, cancel_reason, error_code,
       error_message, created_at, finished_at
FROM workflows WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR agent = ?2) ORDER BY id DESC LIMIT ?3
