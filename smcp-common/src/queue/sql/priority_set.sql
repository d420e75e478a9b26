UPDATE jobs SET priority = ?2 WHERE num = ?1
