DELETE FROM pauses WHERE scope = ?1 AND name = ?2
