UPDATE catalogue SET scanner = NULL, scanner_until = NULL WHERE scanner = ?1
