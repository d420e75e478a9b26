-- The same request as before, for as long as that one.
INSERT INTO approvals (job, round, digest, groups, rules, needed, requested_at, expires_at)
SELECT job, ?2, digest, groups, rules, needed, ?3, ?3 + expires_at - requested_at FROM approvals WHERE job = ?1 AND round = ?2 - 1
