DELETE FROM approval_votes
WHERE (job, round, agent) IN (SELECT job, round, ?1 FROM approvals WHERE outcome IS NULL)
