DELETE FROM sessions WHERE agent = ?1
