-- Schedules, and what became of each of their ticks. Times are integer milliseconds UTC.

CREATE TABLE schedules (
  id                 TEXT    PRIMARY KEY,
  agent              TEXT    NOT NULL,
  name               TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  cron               TEXT    NOT NULL,
  zone               TEXT    NOT NULL,
  -- What is run, as JSON: {"tool": …, "arguments": …}, or {"workflow": …, "rules": …}.
  target             TEXT    NOT NULL,
  start_at           INTEGER,
  end_at             INTEGER,
  max_runs           INTEGER CHECK (max_runs >= 1),
  runs               INTEGER NOT NULL DEFAULT 0 CHECK (runs >= 0),
  jitter_ms          INTEGER NOT NULL CHECK (jitter_ms BETWEEN 0 AND 86400000),
  overlap            TEXT    NOT NULL CHECK (overlap = 'skip' OR overlap = 'queue' OR overlap = 'replace'),
  catch_up           TEXT    NOT NULL CHECK (catch_up = 'none' OR catch_up = 'one' OR catch_up = 'all'),
  catch_up_window_ms INTEGER NOT NULL CHECK (catch_up_window_ms >= 0),
  -- The policy of each run as JSON, where the owner declares one.
  retry              TEXT,
  priority           INTEGER NOT NULL CHECK (priority BETWEEN -100 AND 100),
  paused_at          INTEGER,
  paused_by          TEXT,
  -- The next tick, and when it is run: a random part of the jitter later. None are left where a schedule has ended.
  next_tick          INTEGER,
  fire_at            INTEGER,
  last_tick          INTEGER,
  created_at         INTEGER NOT NULL,
  updated_at         INTEGER NOT NULL,
  -- Grows with every change: a decision about an older state of the row is not carried out.
  version            INTEGER NOT NULL DEFAULT 1,
  UNIQUE (agent, name),
  CHECK (end_at > start_at),
  CHECK (next_tick IS NULL OR runs < max_runs),
  CHECK ((paused_at IS NULL) = (paused_by IS NULL)),
  CHECK ((next_tick IS NULL) = (fire_at IS NULL)),
  CHECK (fire_at BETWEEN next_tick AND next_tick + jitter_ms),
  CHECK (next_tick > last_tick),
  CHECK (next_tick >= start_at),
  CHECK (next_tick <= end_at)
) STRICT, WITHOUT ROWID;
-- What the scheduler walks: those that have something to come.
CREATE INDEX schedules_due ON schedules (fire_at) WHERE paused_at IS NULL AND fire_at IS NOT NULL;

-- One row a tick: the promise that a tick becomes one job at the most, kept by the database itself.
CREATE TABLE schedule_ticks (
  schedule TEXT    NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
  tick     INTEGER NOT NULL,
  kind     TEXT    NOT NULL CHECK (kind = 'cron' OR kind = 'manual'),
  outcome  TEXT    NOT NULL CHECK (outcome = 'submitted' OR outcome = 'waiting' OR outcome = 'skipped' OR outcome = 'refused'),
  job      TEXT,
  workflow TEXT,
  detail   TEXT,
  at       INTEGER NOT NULL,
  PRIMARY KEY (schedule, tick),
  CHECK ((outcome = 'submitted') = (job IS NOT NULL OR workflow IS NOT NULL)),
  CHECK (job IS NULL OR workflow IS NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedule_ticks_waiting ON schedule_ticks (schedule, tick) WHERE outcome = 'waiting';

-- The runs that are going on, however many there have been.
CREATE INDEX jobs_of_schedule_open ON jobs (schedule) WHERE schedule IS NOT NULL AND finished_at IS NULL;
