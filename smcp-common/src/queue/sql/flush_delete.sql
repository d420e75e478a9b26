DELETE FROM jobs WHERE num = ?1
