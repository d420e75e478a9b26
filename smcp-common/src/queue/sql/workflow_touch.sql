UPDATE workflows SET dirty = 1, revision = revision + 1 WHERE id = ?1
