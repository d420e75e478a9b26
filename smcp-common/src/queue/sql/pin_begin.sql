UPDATE catalogue SET pins_since = ?1 WHERE pins_since IS NULL
