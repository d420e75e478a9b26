UPDATE jobs SET lease_until = ?4 WHERE id = ?1 AND state = 'running' AND attempt = ?2 AND worker = ?3
RETURNING cancel_at IS NOT NULL
