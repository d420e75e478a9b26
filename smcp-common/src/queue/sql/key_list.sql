SELECT id, prefix, created_at, expires_at, revoked_at, last_used_at FROM api_keys WHERE agent = ?1 ORDER BY created_at, id
