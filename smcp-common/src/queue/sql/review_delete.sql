DELETE FROM pin_reviews WHERE plugin = ?1
