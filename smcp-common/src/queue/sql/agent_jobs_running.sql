SELECT id FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND agent = ?1
