SELECT id, used FROM limits WHERE agent = ?1 AND rule = ?2
