-- Asked again, since a job may have been taken up since it was found. Attempts, news and output go with it.
DELETE FROM jobs
WHERE num = ?1 AND finished_at < ?2 AND NOT EXISTS (SELECT 1 FROM session_calls WHERE session_calls.job = jobs.id)
  AND NOT EXISTS (SELECT 1 FROM workflows WHERE workflows.id = jobs.workflow AND workflows.state = 'running')
RETURNING id
