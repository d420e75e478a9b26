SELECT e.seq, j.id FROM job_events e JOIN jobs j ON j.num = e.job WHERE e.seq > ?1 ORDER BY e.seq LIMIT 1000
