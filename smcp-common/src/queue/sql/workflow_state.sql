SELECT state FROM workflows WHERE id = ?1
