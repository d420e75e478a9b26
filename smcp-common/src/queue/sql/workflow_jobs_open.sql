SELECT id FROM jobs WHERE workflow = ?1 AND finished_at IS NULL
