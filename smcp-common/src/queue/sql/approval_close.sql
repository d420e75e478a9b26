UPDATE approvals SET outcome = ?2, ended_at = ?3 WHERE job = ?1 AND outcome IS NULL
