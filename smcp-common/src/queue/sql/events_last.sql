SELECT coalesce(max(seq), 0) FROM job_events
