SELECT s.step, s.state, s.job, s.started_at, s.ended_at, s.error_code, s.error_message, j.state, j.finished_at, j.error_code,
       j.error_message, j.output_bytes, j.printed_bytes IS NOT NULL, j.tool
FROM workflow_steps s LEFT JOIN jobs j ON j.id = s.job WHERE s.workflow = ?1 ORDER BY s.n
