SELECT j.num, j.id, j.agent, j.tool, j.plugin, j.arguments, j.attempt, j.failures, j.effect, j.max_attempts, j.retry, j.workflow,
       j.source, a.round, a.digest, a.groups, a.rules, a.needed, a.requested_at, a.expires_at
FROM approvals a JOIN jobs j ON j.num = a.job WHERE a.outcome IS NULL ORDER BY a.requested_at, a.job
