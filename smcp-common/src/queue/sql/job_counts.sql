SELECT (SELECT count(*) FROM jobs WHERE state = 'queued' AND due = 1),
       (SELECT count(*) FROM jobs WHERE state = 'queued' AND due = 0),
       (SELECT count(*) FROM jobs WHERE state = 'running'),
       (SELECT min(run_at) FROM jobs WHERE state = 'queued' AND due = 1)
