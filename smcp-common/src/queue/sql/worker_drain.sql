UPDATE workers SET draining_at = ?2 WHERE id = ?1 AND draining_at IS NULL
