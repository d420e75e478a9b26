SELECT agent FROM jobs WHERE num = ?1
