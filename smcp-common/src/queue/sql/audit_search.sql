SELECT seq, at, kind, agent, job, data, hash
FROM audit
WHERE seq < ?1 AND seq >= ?2
  AND (?3 IS NULL OR agent = ?3)
  AND (?4 IS NULL OR kind = ?4 OR kind GLOB ?4 || '.*')
  AND (?5 IS NULL OR job = ?5)
  AND (?6 IS NULL OR at >= ?6)
  AND (?7 IS NULL OR at < ?7)
  AND (?8 IS NULL OR data ->> '$.tool' = ?8)
ORDER BY seq DESC
LIMIT ?9
