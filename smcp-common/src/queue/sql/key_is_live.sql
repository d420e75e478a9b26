SELECT EXISTS (SELECT 1 FROM api_keys k JOIN agents a ON a.name = k.agent
               WHERE k.id = ?1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?2) AND a.revoked_at IS NULL)
