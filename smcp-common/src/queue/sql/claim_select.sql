SELECT num, id, tool, plugin, agent, arguments, timeout_ms, attempt, failures, effect, max_attempts, retry, sealed, approved,
       strict_sandbox
FROM jobs WHERE num = ?1
