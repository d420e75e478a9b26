INSERT INTO limit_uses (counter, n, at) VALUES (?1, ?2, ?3)
