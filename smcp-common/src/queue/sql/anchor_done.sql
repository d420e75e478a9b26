UPDATE audit_chain SET anchored = max(coalesce(anchored, 0), ?1), anchor_error = NULL, anchor_failed_at = NULL
