-- Whoever has approved may deny afterwards.
INSERT INTO approval_votes (job, round, agent, voice, groups, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (job, round, agent) DO UPDATE
SET voice = excluded.voice, groups = excluded.groups, reason = excluded.reason, at = excluded.at
