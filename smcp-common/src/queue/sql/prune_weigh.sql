SELECT count(*) FROM job_events WHERE job = ?1
