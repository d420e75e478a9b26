UPDATE workflows SET cancel_at = ?2, cancel_by = ?3, cancel_reason = ?4, dirty = 1, revision = revision + 1
WHERE id = ?1 AND state = 'running' AND cancel_at IS NULL
