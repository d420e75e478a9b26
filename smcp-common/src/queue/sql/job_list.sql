SELECT num, id, tool, plugin, agent, source, state, lane, priority, effect, run_at, arguments, timeout_ms, max_attempts,
       idempotency_key, cancel_at, cancel_by, cancel_reason, error_code, error_message, output_bytes, printed_bytes,
       created_at, finished_at, retry, schedule, workflow, step
FROM jobs
WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR tool = ?2) AND (?3 IS NULL OR lane = ?3) AND (?4 IS NULL OR agent = ?4)
ORDER BY num DESC LIMIT ?5
