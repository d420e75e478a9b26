SELECT id, digest_key FROM secrets_key
