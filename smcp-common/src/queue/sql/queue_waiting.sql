-- What could run now, by lane and plugin.
SELECT lane, plugin, count(*), min(run_at) FROM jobs WHERE state = 'queued' AND due = 1 GROUP BY lane, plugin
