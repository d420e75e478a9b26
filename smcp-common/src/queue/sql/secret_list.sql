SELECT name, scope, version, created_at, created_by, updated_at, updated_by FROM secrets ORDER BY name, scope
