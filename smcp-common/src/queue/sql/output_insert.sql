INSERT INTO outputs (job, attempt, start, data) VALUES (?1, ?2, ?3, ?4)
