INSERT INTO pins (plugin, digest, data, accepted_at, accepted_by) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (plugin) DO UPDATE SET digest = excluded.digest, data = excluded.data, accepted_at = excluded.accepted_at,
                                   accepted_by = excluded.accepted_by
