SELECT k.id, k.agent, k.last_used_at FROM api_keys k JOIN agents a ON a.name = k.agent
WHERE k.digest = ?1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?2) AND a.revoked_at IS NULL
