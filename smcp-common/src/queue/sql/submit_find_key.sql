SELECT id, arguments_digest FROM jobs WHERE agent = ?1 AND idempotency_key = ?2
