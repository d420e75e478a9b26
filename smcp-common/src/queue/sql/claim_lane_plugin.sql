-- The best job of the next plugin in a lane. Not one statement with the walk over lanes: of `(lane, plugin) > (?1, ?2)`, SQLite
-- seeks the lane alone, and reads the whole backlog to find that there is no other plugin.
SELECT plugin, num, priority, run_at FROM jobs WHERE state = 'queued' AND due = 1 AND lane = ?1 AND plugin > ?2
ORDER BY plugin, priority DESC, run_at, num LIMIT 1
