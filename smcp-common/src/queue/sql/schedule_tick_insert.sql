INSERT INTO schedule_ticks (schedule, tick, kind, outcome, job, detail, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (schedule, tick) DO NOTHING
