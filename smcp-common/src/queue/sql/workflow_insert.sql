INSERT INTO workflows (id, agent, name, definition, definition_digest, rules, state, schedule, idempotency_key, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', ?7, ?8, ?9)
