SELECT EXISTS (SELECT 1 FROM schedules WHERE agent = ?1 AND name = ?2 AND id <> ?3)
