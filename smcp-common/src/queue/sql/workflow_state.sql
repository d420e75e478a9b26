SELECT state, revision FROM workflows WHERE id = ?1
