UPDATE schedules SET paused_at = ?2, paused_by = ?3, updated_at = ?2, version = version + 1
WHERE id = ?1 AND paused_at IS NULL
