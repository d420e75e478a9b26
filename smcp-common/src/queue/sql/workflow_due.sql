SELECT id FROM workflows WHERE dirty = 1 UNION SELECT id FROM workflows WHERE wake_at <= ?1 ORDER BY id LIMIT 100
