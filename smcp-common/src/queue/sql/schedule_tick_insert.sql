INSERT INTO schedule_ticks (schedule, tick, kind, outcome, job, workflow, detail, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (schedule, tick) DO NOTHING
