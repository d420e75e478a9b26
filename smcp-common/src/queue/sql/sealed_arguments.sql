SELECT num, id, sealed FROM jobs WHERE sealed IS NOT NULL
