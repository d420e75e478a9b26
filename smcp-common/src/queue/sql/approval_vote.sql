INSERT INTO approval_votes (job, round, agent, voice, groups, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
