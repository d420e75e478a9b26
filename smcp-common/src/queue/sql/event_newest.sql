SELECT job_events.seq, job_events.at, job_events.kind, job_events.data
FROM job_events
WHERE job_events.job = (SELECT num FROM jobs WHERE id = ?1)
ORDER BY job_events.seq DESC
LIMIT 1
