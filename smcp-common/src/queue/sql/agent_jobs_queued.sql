-- Each part walks an index of waiting jobs alone, however many have ended.
SELECT id FROM jobs INDEXED BY jobs_claimable WHERE state = 'queued' AND due = 1 AND agent = ?1
UNION ALL SELECT id FROM jobs INDEXED BY jobs_future WHERE state = 'queued' AND due = 0 AND agent = ?1
UNION ALL SELECT j.id FROM approvals a JOIN jobs j ON j.num = a.job WHERE a.outcome IS NULL AND j.agent = ?1
