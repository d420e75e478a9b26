SELECT jobs.id, jobs.tool
FROM session_calls
JOIN jobs ON jobs.id = session_calls.job
WHERE session_calls.session = ?1 AND jobs.finished_at IS NULL
