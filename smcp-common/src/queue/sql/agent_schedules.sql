SELECT id FROM schedules WHERE agent = ?1 AND paused_at IS NULL
