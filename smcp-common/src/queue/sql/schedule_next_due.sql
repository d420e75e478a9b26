SELECT min(fire_at) FROM schedules INDEXED BY schedules_due WHERE paused_at IS NULL AND fire_at IS NOT NULL
