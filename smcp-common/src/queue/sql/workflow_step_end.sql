UPDATE workflow_steps SET state = ?3, ended_at = ?4, error_code = ?5, error_message = ?6
WHERE workflow = ?1 AND n = ?2 AND ended_at IS NULL
