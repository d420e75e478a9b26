SELECT 1 FROM catalogue WHERE scanner = ?1
