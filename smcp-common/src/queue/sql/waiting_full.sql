-- How many jobs an agent may have running, where it has so many.
SELECT max_running FROM agents WHERE name = ?1
  AND max_running <= (SELECT count(*) FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND agent = ?1)
