-- The agent's own before everybody's.
SELECT scope, version, sealed FROM secrets WHERE name = ?1 AND (scope = ?2 OR scope = '') ORDER BY scope DESC LIMIT 1
