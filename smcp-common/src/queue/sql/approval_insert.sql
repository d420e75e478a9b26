INSERT INTO approvals (job, round, digest, groups, rules, needed, requested_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
