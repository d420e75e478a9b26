SELECT 1 FROM limits WHERE free_at <= ?1 LIMIT 1
