SELECT o.start, o.data FROM outputs o JOIN jobs j ON j.num = o.job
WHERE j.id = ?1 AND o.attempt = j.attempt AND o.start + length(o.data) > ?2 ORDER BY o.start
