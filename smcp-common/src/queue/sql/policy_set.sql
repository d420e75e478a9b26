UPDATE policies SET version = version + 1, hash = ?1, zone = ?2, files = ?3, accepted_at = ?4, accepted_by = ?5
