SELECT j.num, j.id, j.agent, j.tool, j.plugin, j.arguments, j.attempt, j.failures, j.effect, j.max_attempts, j.retry, j.workflow,
       j.source, a.round, a.digest, a.groups, a.rules, a.needed, a.requested_at, a.expires_at
FROM jobs j JOIN approvals a ON a.job = j.num AND a.outcome IS NULL WHERE j.id = ?1
