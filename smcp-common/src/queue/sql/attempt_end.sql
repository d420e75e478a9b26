UPDATE attempts SET ended_at = ?3, outcome = ?4, error_code = ?5, error_message = ?6, sandbox = ?7 WHERE job = ?1 AND n = ?2
