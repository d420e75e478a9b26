UPDATE workflows SET dirty = 0 WHERE id = ?1 AND revision = ?2
