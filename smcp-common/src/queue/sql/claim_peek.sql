-- Reads only: an idle worker must not take the write lock to learn that there is nothing to do.
SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND due = 1),
       EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND due = 0 AND run_at <= ?1),
       (SELECT min(run_at) FROM jobs WHERE state = 'queued' AND due = 0)
