SELECT num, id, tool, plugin, agent, source, state, lane, priority, effect, run_at, arguments, timeout_ms, max_attempts,
       idempotency_key, cancel_at, cancel_by, cancel_reason, error_code, error_message, output_bytes, printed_bytes,
       created_at, finished_at, retry, schedule, workflow, step
FROM jobs WHERE id = ?1
