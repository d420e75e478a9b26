UPDATE jobs SET state = 'running', attempt = ?2, worker = ?3, lease_until = ?4 WHERE num = ?1
