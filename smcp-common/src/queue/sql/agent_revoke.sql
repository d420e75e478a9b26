UPDATE agents SET revoked_at = ?2 WHERE name = ?1
