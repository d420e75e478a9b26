SELECT version, hash, zone, files, accepted_at, accepted_by FROM policies
