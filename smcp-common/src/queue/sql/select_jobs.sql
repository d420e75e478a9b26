-- Jobs in a state, oldest first, as far as they are wanted.
SELECT num, id, tool, agent FROM jobs
WHERE state = ?1 AND (?2 IS NULL OR tool GLOB ?2) AND (?3 IS NULL OR lane = ?3) AND (?4 IS NULL OR plugin = ?4)
  AND (?5 IS NULL OR error_code = ?5)
  AND (?6 IS NULL OR coalesce(finished_at, created_at) < ?6) AND (?7 IS NULL OR coalesce(finished_at, created_at) >= ?7)
ORDER BY num LIMIT ?8
