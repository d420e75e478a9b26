-- The next plugin with jobs in a lane, or without one: the best job of its first agent. Not one statement with the walk over lanes
-- or agents: of `(lane, plugin) > (?1, ?2)`, SQLite seeks the lane alone, and reads the whole backlog to find that there is no
-- other plugin.
SELECT plugin, agent, num, priority, run_at FROM jobs WHERE state = 'queued' AND due = 1 AND lane IS ?1 AND plugin > ?2
ORDER BY plugin, agent, priority DESC, run_at, num LIMIT 1
