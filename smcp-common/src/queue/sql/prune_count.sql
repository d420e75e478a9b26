-- Ended jobs, without reading them: all of them are in the index of ids, and those that have not ended in small ones.
SELECT (SELECT count(*) FROM jobs) - (SELECT count(*) FROM jobs WHERE state = 'queued' AND due = 1)
     - (SELECT count(*) FROM jobs WHERE state = 'queued' AND due = 0) - (SELECT count(*) FROM jobs WHERE state = 'running')
