SELECT id FROM workflows INDEXED BY workflows_of_schedule_open
WHERE schedule = ?1 AND schedule IS NOT NULL AND finished_at IS NULL AND cancel_at IS NULL
