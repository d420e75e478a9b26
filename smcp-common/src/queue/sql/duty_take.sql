INSERT INTO duties (name, worker, until) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET worker = excluded.worker, until = excluded.until
