SELECT id, definition_digest FROM workflows WHERE agent = ?1 AND idempotency_key = ?2
