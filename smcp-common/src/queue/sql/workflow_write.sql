-- The fence: a decision that was made before the last change finds no row and changes nothing.
UPDATE workflows SET dirty = 0, revision = revision + 1, wake_at = ?3, state = ?4, error_code = ?5, error_message = ?6,
                     finished_at = ?7
WHERE id = ?1 AND revision = ?2
