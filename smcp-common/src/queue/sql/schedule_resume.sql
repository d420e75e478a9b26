UPDATE schedules
SET paused_at = NULL, paused_by = NULL, next_tick = ?2, fire_at = ?3, updated_at = ?4, version = version + 1
WHERE id = ?1
