-- A new run_at only where the job is queued again after a delay; else it keeps its place.
UPDATE jobs SET state = ?2, failures = ?3, worker = NULL, lease_until = NULL, error_code = ?4, error_message = ?5,
                finished_at = ?6, run_at = coalesce(?7, run_at), due = coalesce(?8, due)
WHERE num = ?1
