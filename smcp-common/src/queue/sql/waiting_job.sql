SELECT num, lane, plugin, agent, priority, run_at, attempt FROM jobs WHERE id = ?1 AND state = 'queued'
