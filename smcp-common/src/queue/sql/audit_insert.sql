INSERT INTO audit (seq, at, kind, agent, job, data, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
