UPDATE jobs SET sealed = ?2 WHERE num = ?1
