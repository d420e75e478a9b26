SELECT EXISTS (SELECT 1 FROM workers WHERE id = ?1 AND draining_at IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND worker = ?1)
