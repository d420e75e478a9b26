DELETE FROM turns WHERE scope = ?1 AND lane = ?2
