SELECT c.seq, c.count, c.hash, c.chain, c.at, c.key, c.signature
FROM audit_checkpoints AS c
WHERE c.seq = (SELECT max(seq) FROM audit_checkpoints) AND c.seq > (SELECT coalesce(anchored, 0) FROM audit_chain)
