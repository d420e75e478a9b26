SELECT digest, data FROM plugins WHERE name = ?1
