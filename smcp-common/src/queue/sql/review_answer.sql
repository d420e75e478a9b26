UPDATE pin_reviews SET data = ?3 WHERE plugin = ?1 AND digest = ?2
