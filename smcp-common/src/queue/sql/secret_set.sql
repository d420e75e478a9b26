INSERT INTO secrets (name, scope, version, sealed, created_at, created_by, updated_at, updated_by)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?6)
ON CONFLICT (name, scope) DO UPDATE SET version = ?3, sealed = ?4, updated_at = ?5, updated_by = ?6
