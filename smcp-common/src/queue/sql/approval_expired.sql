SELECT j.id FROM approvals a JOIN jobs j ON j.num = a.job WHERE a.outcome IS NULL AND a.expires_at <= ?1 ORDER BY a.expires_at LIMIT 100
