SELECT last.seq, signed.seq, (SELECT at FROM audit WHERE seq = signed.seq + 1)
FROM (SELECT coalesce(max(seq), 0) AS seq FROM audit) AS last,
     (SELECT coalesce(max(seq), 0) AS seq FROM audit_checkpoints) AS signed
