DELETE FROM sessions
WHERE id IN (SELECT id FROM sessions WHERE seen_at < ?1 ORDER BY seen_at LIMIT 100)
