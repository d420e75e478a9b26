DELETE FROM schedule_ticks
WHERE schedule = ?1 AND outcome <> 'waiting'
  AND tick < (SELECT tick FROM schedule_ticks WHERE schedule = ?1 ORDER BY tick DESC LIMIT 1 OFFSET ?2)
