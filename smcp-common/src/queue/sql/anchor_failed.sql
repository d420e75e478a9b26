UPDATE audit_chain SET anchor_error = ?1, anchor_failed_at = ?2
