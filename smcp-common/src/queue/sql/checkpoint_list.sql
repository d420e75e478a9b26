SELECT seq, count, hash, chain, at, key, signature FROM audit_checkpoints WHERE seq > ?1 AND seq <= ?2 ORDER BY seq
