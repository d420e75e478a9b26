UPDATE workflow_steps SET state = 'verifying' WHERE workflow = ?1 AND n = ?2 AND state = 'running'
