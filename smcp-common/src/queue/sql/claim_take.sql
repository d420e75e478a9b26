-- A new attempt begins with no output of its own; that of earlier ones is kept beside it.
UPDATE jobs SET state = 'running', attempt = ?2, worker = ?3, lease_until = ?4, output_bytes = 0, printed_bytes = NULL
WHERE num = ?1
