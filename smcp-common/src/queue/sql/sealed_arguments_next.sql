SELECT num, id, sealed FROM jobs WHERE sealed IS NOT NULL AND num > ?1 ORDER BY num LIMIT 1
