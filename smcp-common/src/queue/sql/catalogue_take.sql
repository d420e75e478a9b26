UPDATE catalogue SET scanner = ?1, scanner_until = ?2
WHERE wanted > scanned AND (scanner IS NULL OR scanner_until < ?3 OR scanner = ?1) RETURNING wanted
