UPDATE schedule_ticks SET outcome = ?3, job = ?4, workflow = ?5, detail = ?6, at = ?7
WHERE schedule = ?1 AND tick = ?2 AND outcome = 'waiting'
