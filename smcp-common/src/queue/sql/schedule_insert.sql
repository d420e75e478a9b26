INSERT INTO schedules (id, agent, name, cron, zone, target, start_at, end_at, max_runs, jitter_ms, overlap, catch_up,
                       catch_up_window_ms, retry, priority, next_tick, fire_at, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?18)
ON CONFLICT (agent, name) DO NOTHING
