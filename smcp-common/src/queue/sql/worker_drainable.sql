SELECT id FROM workers WHERE stopped_at IS NULL AND (?1 IS NULL OR id = ?1) ORDER BY id
