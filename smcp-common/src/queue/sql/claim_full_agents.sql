-- The agents that have as many jobs running as they may.
SELECT name FROM agents WHERE max_running IS NOT NULL
  AND max_running <= (SELECT count(*) FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND agent = agents.name)
