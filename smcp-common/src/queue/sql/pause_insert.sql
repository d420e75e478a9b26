INSERT INTO pauses (scope, name, paused_at, paused_by, reason) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING
