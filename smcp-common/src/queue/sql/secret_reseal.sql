UPDATE secrets SET sealed = ?3 WHERE name = ?1 AND scope = ?2
