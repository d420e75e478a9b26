UPDATE workers SET stopped_at = ?2, last_seen = ?2 WHERE id = ?1 AND stopped_at IS NULL
