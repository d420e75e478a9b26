SELECT chain, anchored, anchor_error, anchor_failed_at,
       (SELECT coalesce(max(seq), 0) FROM audit),
       (SELECT coalesce(max(seq), 0) FROM audit_checkpoints)
FROM audit_chain
