SELECT 1 FROM jobs WHERE state = 'queued' AND due = 0 AND run_at <= ?1 LIMIT 1
