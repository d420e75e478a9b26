INSERT INTO attempts (job, n, worker, started_at) VALUES (?1, ?2, ?3, ?4)
