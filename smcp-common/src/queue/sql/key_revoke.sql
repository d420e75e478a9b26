UPDATE api_keys SET revoked_at = ?3 WHERE id = ?1 AND agent = ?2 AND revoked_at IS NULL
