INSERT INTO sessions (id, agent, parameters, created_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?4)
