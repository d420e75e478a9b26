INSERT INTO pin_reviews (plugin, digest, data) VALUES (?1, ?2, NULL)
ON CONFLICT (plugin) DO UPDATE SET digest = excluded.digest, data = NULL
