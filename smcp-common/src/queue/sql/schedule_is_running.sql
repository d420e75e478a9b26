SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_of_schedule_open
               WHERE schedule = ?1 AND schedule IS NOT NULL AND finished_at IS NULL)
    OR EXISTS (SELECT 1 FROM workflows INDEXED BY workflows_of_schedule_open
               WHERE schedule = ?1 AND schedule IS NOT NULL AND finished_at IS NULL)
