-- Workflows, their steps and the checks of these. Times are integer milliseconds UTC.
-- No CHECK has IN with more than two values: SQLite makes a table of them for each statement, at more than its cost.

CREATE TABLE workflows (
  id                TEXT    PRIMARY KEY,
  agent             TEXT    NOT NULL,
  name              TEXT,
  -- The definition as JSON, and its digest; the rules that allow each of its tools, as JSON.
  definition        TEXT    NOT NULL,
  definition_digest BLOB    NOT NULL CHECK (length(definition_digest) = 32),
  rules             TEXT    NOT NULL,
  state             TEXT    NOT NULL CHECK (state = 'running' OR state = 'succeeded' OR state = 'failed' OR state = 'cancelled'),
  -- Grows with every change of it or of its jobs: a decision is written only where nothing has changed since it was made.
  revision          INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0),
  -- 1 while something has happened that nobody has drawn the consequences from.
  dirty             INTEGER NOT NULL DEFAULT 1 CHECK (dirty IN (0, 1)),
  -- When there is something to decide apart from that.
  wake_at           INTEGER,
  schedule          TEXT,
  idempotency_key   TEXT    CHECK (length(idempotency_key) BETWEEN 1 AND 255),
  cancel_at         INTEGER,
  cancel_by         TEXT,
  cancel_reason     TEXT,
  error_code        TEXT,
  error_message     TEXT,
  created_at        INTEGER NOT NULL,
  finished_at       INTEGER,
  CHECK ((state = 'running') = (finished_at IS NULL)),
  CHECK (state = 'running' OR wake_at IS NULL),
  CHECK ((cancel_at IS NULL) = (cancel_by IS NULL)),
  CHECK ((error_code IS NULL) = (error_message IS NULL))
) STRICT, WITHOUT ROWID;
-- What the scheduler asks for: nothing is in these while nothing is to be done.
CREATE INDEX workflows_dirty ON workflows (id) WHERE dirty = 1;
CREATE INDEX workflows_wake ON workflows (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX workflows_of_agent ON workflows (agent, id);
-- The runs of schedules that are going on, however many there have been.
CREATE INDEX workflows_of_schedule_open ON workflows (schedule) WHERE schedule IS NOT NULL AND finished_at IS NULL;
CREATE INDEX workflows_ended ON workflows (finished_at) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX workflows_idempotency ON workflows (agent, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE workflow_steps (
  workflow      TEXT    NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
  -- Its place in the definition.
  n             INTEGER NOT NULL CHECK (n >= 0),
  step          TEXT    NOT NULL,
  state         TEXT    NOT NULL CHECK (state = 'waiting' OR state = 'running' OR state = 'verifying' OR state = 'succeeded'
                                        OR state = 'failed' OR state = 'skipped' OR state = 'cancelled'),
  job           TEXT,
  started_at    INTEGER,
  ended_at      INTEGER,
  error_code    TEXT,
  error_message TEXT,
  PRIMARY KEY (workflow, n),
  CHECK ((job IS NULL) = (started_at IS NULL)),
  CHECK (job IS NOT NULL OR NOT (state = 'running' OR state = 'verifying' OR state = 'succeeded')),
  CHECK ((state = 'waiting' OR state = 'running' OR state = 'verifying') = (ended_at IS NULL)),
  CHECK ((error_code IS NULL) = (error_message IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE workflow_checks (
  workflow TEXT    NOT NULL,
  step     INTEGER NOT NULL,
  n        INTEGER NOT NULL CHECK (n BETWEEN 1 AND 100),
  job      TEXT    NOT NULL,
  begun_at INTEGER NOT NULL,
  -- The end of its job, once somebody has noted it.
  state    TEXT    CHECK (state = 'succeeded' OR state = 'failed' OR state = 'cancelled' OR state = 'outcome_unknown'
                          OR state = 'denied' OR state = 'expired'),
  ended_at INTEGER,
  PRIMARY KEY (workflow, step, n),
  FOREIGN KEY (workflow, step) REFERENCES workflow_steps (workflow, n) ON DELETE CASCADE,
  CHECK ((state IS NULL) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
