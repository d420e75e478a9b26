SELECT id, attempt FROM jobs WHERE state = 'running' AND worker = ?1 AND cancel_at IS NOT NULL
