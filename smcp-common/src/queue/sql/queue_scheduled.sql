-- What waits for its time, by lane and plugin.
SELECT lane, plugin, count(*), NULL FROM jobs WHERE state = 'queued' AND due = 0 GROUP BY lane, plugin
