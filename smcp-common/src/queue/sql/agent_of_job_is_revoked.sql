SELECT EXISTS (SELECT 1 FROM jobs JOIN agents ON agents.name = jobs.agent WHERE jobs.num = ?1 AND agents.revoked_at IS NOT NULL)
