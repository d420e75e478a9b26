SELECT count(*) FROM schedule_ticks INDEXED BY schedule_ticks_waiting WHERE schedule = ?1 AND outcome = 'waiting'
