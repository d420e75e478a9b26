UPDATE workflow_steps SET state = 'running', job = ?3, started_at = ?4 WHERE workflow = ?1 AND n = ?2 AND state = 'waiting'
