UPDATE jobs SET state = ?2, failures = ?3, worker = NULL, lease_until = NULL, error_code = ?4, error_message = ?5,
                finished_at = ?6
WHERE num = ?1
