SELECT num, lane, plugin, priority, run_at, attempt FROM jobs WHERE id = ?1 AND state = 'queued'
