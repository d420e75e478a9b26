SELECT min(wake_at) FROM workflows WHERE wake_at IS NOT NULL
