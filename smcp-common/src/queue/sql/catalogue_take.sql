-- No lease reaches further than its length: one that does is from before the clock was set back.
UPDATE catalogue SET scanner = ?1, scanner_until = ?2
WHERE wanted > scanned AND (scanner IS NULL OR scanner_until < ?3 OR scanner_until > ?2 OR scanner = ?1) RETURNING wanted
