SELECT num, id, tool, plugin, agent, arguments, timeout_ms, attempt, failures, effect, max_attempts
FROM jobs WHERE num = ?1
