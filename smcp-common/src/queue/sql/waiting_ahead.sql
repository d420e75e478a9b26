-- How many jobs of the same lane, or of those without one, go before a job; at most ?5. Those of other plugins that are
-- paused do not.
SELECT count(*) FROM (
  SELECT 1 FROM jobs WHERE state = 'queued' AND due = 1 AND lane IS ?1
    AND (priority > ?2 OR priority = ?2 AND (run_at, num) < (?3, ?4))
    AND (plugin = ?6 OR NOT EXISTS (SELECT 1 FROM pauses WHERE scope = 'plugin' AND name = jobs.plugin))
  LIMIT ?5)
