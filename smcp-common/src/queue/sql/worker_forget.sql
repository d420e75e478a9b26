DELETE FROM workers WHERE stopped_at < ?1 OR last_seen < ?1
