UPDATE schedules SET runs = ?2, last_tick = coalesce(?3, last_tick), next_tick = ?4, fire_at = ?5, version = version + 1
WHERE id = ?1
