-- Jobs in the order in which they were recorded, and whether somebody may still ask what became of one.
SELECT num, created_at, finished_at, workflow IS NOT NULL, output_bytes * attempt,
       EXISTS (SELECT 1 FROM session_calls WHERE session_calls.job = jobs.id)
       OR EXISTS (SELECT 1 FROM workflows WHERE workflows.id = jobs.workflow AND workflows.state = 'running')
FROM jobs WHERE num > ?1 ORDER BY num LIMIT 1000
