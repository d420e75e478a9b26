-- Steps and checks go with it; the jobs are pruned as jobs are.
DELETE FROM workflows WHERE id IN (SELECT id FROM workflows WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2)
RETURNING id
