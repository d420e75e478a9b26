SELECT tick, kind, outcome, job, detail, at, workflow FROM schedule_ticks WHERE schedule = ?1 ORDER BY tick DESC LIMIT ?2
