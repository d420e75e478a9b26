INSERT INTO workflow_checks (workflow, step, n, job, begun_at)
SELECT ?1, ?2, 1 + count(*), ?3, ?4 FROM workflow_checks WHERE workflow = ?1 AND step = ?2
RETURNING n
