SELECT c.step, c.n, c.job, c.begun_at, coalesce(c.state, j.state), coalesce(c.ended_at, j.finished_at)
FROM workflow_checks c LEFT JOIN jobs j ON j.id = c.job WHERE c.workflow = ?1 ORDER BY c.step, c.n
