UPDATE catalogue SET scanned = max(scanned, ?2), version = version + ?3, scanned_at = ?4, problems = ?5, scanner = NULL,
                     scanner_until = NULL
WHERE scanner = ?1
