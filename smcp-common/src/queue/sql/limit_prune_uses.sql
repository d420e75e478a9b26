DELETE FROM limit_uses WHERE (counter, n) IN (
  SELECT u.counter, u.n FROM limits l JOIN limit_uses u ON u.counter = l.id WHERE l.free_at <= ?1 LIMIT ?2)
