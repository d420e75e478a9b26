-- No UNION and no order: for either, SQLite would walk the table instead of the two indexes.
SELECT id FROM workflows WHERE dirty = 1 UNION ALL SELECT id FROM workflows WHERE dirty = 0 AND wake_at <= ?1 LIMIT 100
