SELECT id FROM api_keys WHERE agent = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2) ORDER BY created_at, id
