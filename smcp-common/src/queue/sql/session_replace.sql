DELETE FROM sessions
WHERE id = (SELECT id FROM sessions WHERE seen_at < ?1 ORDER BY seen_at LIMIT 1)
