-- Whether something is sealed that somebody may still open.
SELECT EXISTS (SELECT 1 FROM secrets)
    OR EXISTS (SELECT 1 FROM jobs WHERE sealed IS NOT NULL AND finished_at IS NULL)
