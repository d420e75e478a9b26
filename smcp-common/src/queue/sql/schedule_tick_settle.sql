UPDATE schedule_ticks SET outcome = ?3, job = ?4, detail = ?5, at = ?6
WHERE schedule = ?1 AND tick = ?2 AND outcome = 'waiting'
