SELECT e.seq, e.at, e.kind, e.data FROM job_events e
WHERE e.job = (SELECT num FROM jobs WHERE id = ?1) AND e.seq > ?2 ORDER BY e.seq LIMIT ?3
