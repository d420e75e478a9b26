INSERT INTO api_keys (id, agent, digest, prefix, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
