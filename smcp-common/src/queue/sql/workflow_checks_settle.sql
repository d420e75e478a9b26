UPDATE workflow_checks AS c SET state = j.state, ended_at = j.finished_at
FROM jobs j WHERE c.workflow = ?1 AND c.ended_at IS NULL AND j.id = c.job AND j.finished_at IS NOT NULL
