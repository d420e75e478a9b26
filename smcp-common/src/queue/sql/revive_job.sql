-- Queued anew, as if nobody had held it; its attempts stay on record.
UPDATE jobs SET state = 'queued', failures = ?2, run_at = ?3, due = 1, cancel_at = NULL, cancel_by = NULL,
                cancel_reason = NULL, error_code = NULL, error_message = NULL, finished_at = NULL
WHERE num = ?1
