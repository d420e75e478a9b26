INSERT INTO plugins (name, digest, data) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, data = excluded.data
