SELECT scope, name, paused_at, paused_by, reason FROM pauses ORDER BY scope, name
