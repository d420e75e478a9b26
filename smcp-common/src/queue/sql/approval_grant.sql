-- It takes its place in the queue from now on, unless it was asked for later.
UPDATE jobs SET state = 'queued', approved = ?2, run_at = max(run_at, ?3), due = max(run_at, ?3) <= ?3 WHERE num = ?1
