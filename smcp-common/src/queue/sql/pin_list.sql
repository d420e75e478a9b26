SELECT plugin, digest, data, accepted_at, accepted_by FROM pins ORDER BY plugin
