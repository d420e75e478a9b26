SELECT plugin, digest, data, accepted_at, accepted_by FROM pins WHERE plugin = ?1
