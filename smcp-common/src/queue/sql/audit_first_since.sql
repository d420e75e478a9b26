SELECT min(seq) FROM audit WHERE at >= ?1
