DELETE FROM secrets WHERE name = ?1 AND scope = ?2
