SELECT id FROM workflows WHERE agent = ?1 AND state = 'running' AND cancel_at IS NULL
