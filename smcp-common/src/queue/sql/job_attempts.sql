SELECT n, worker, started_at, ended_at, outcome, error_code, error_message, sandbox FROM attempts WHERE job = ?1 ORDER BY n
