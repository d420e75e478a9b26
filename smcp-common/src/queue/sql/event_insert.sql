INSERT INTO job_events (job, at, kind, data) VALUES (?1, ?2, ?3, ?4)
