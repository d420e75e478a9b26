INSERT INTO audit_checkpoints (seq, count, hash, chain, at, key, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
