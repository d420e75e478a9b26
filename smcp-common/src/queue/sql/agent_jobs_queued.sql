-- Each half walks an index of queued jobs alone, however many have ended.
SELECT id FROM jobs INDEXED BY jobs_claimable WHERE (state = 'queued' OR state = 'awaiting_approval') AND due = 1 AND agent = ?1
UNION ALL SELECT id FROM jobs INDEXED BY jobs_future WHERE (state = 'queued' OR state = 'awaiting_approval') AND due = 0 AND agent = ?1
