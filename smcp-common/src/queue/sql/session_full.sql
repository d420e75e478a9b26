SELECT count(*) >= ?1 AND NOT EXISTS (SELECT 1 FROM sessions WHERE seen_at < ?2)
FROM sessions
