SELECT at FROM limit_uses WHERE counter = ?1 AND n = ?2
