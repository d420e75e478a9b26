UPDATE jobs SET cancel_at = ?2, cancel_by = ?3, cancel_reason = ?4 WHERE num = ?1 AND cancel_at IS NULL
