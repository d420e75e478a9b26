INSERT OR REPLACE INTO secrets_key (one, id, digest_key, since) VALUES (1, ?1, ?2, ?3)
