DELETE FROM limits WHERE id IN (
  SELECT id FROM limits l WHERE free_at <= ?1 AND NOT EXISTS (SELECT 1 FROM limit_uses u WHERE u.counter = l.id) LIMIT ?2)
