SELECT schedule, min(tick) FROM schedule_ticks INDEXED BY schedule_ticks_waiting
WHERE outcome = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM schedules WHERE id = schedule AND paused_at IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_of_schedule_open
                  WHERE jobs.schedule = schedule_ticks.schedule AND jobs.schedule IS NOT NULL AND finished_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM workflows INDEXED BY workflows_of_schedule_open
                  WHERE workflows.schedule = schedule_ticks.schedule AND workflows.schedule IS NOT NULL AND finished_at IS NULL)
GROUP BY schedule LIMIT ?1
