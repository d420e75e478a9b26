SELECT data FROM pin_reviews WHERE plugin = ?1 AND digest = ?2 AND data IS NOT NULL
