UPDATE schedules
SET name = ?2, cron = ?3, zone = ?4, target = ?5, start_at = ?6, end_at = ?7, max_runs = ?8, jitter_ms = ?9, overlap = ?10,
    catch_up = ?11, catch_up_window_ms = ?12, retry = ?13, priority = ?14, next_tick = ?15, fire_at = ?16, updated_at = ?17,
    version = version + 1
WHERE id = ?1
