SELECT id, agent, name, cron, zone, target, start_at, end_at, max_runs, runs, jitter_ms, overlap, catch_up, catch_up_window_ms, retry,
       priority, paused_at, paused_by, next_tick, fire_at, last_tick, created_at, updated_at, version
FROM schedules WHERE (?1 IS NULL OR agent = ?1) AND (?2 IS NULL OR name = ?2) ORDER BY agent, name LIMIT ?3
