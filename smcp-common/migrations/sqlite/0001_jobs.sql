-- Jobs, their attempts, news and output; workers; the audit chain; the catalogue of tools; sessions.
-- Times are integer milliseconds UTC. Invariants are CHECKs and indexes, so that no code path can forget them.
-- No CHECK has IN with more than two values: SQLite makes a table of them for each statement, at more than its cost.

CREATE TABLE jobs (
  num              INTEGER PRIMARY KEY,
  id               TEXT    NOT NULL UNIQUE,
  tool             TEXT    NOT NULL CHECK (length(tool) BETWEEN 1 AND 64),
  plugin           TEXT    NOT NULL,
  agent            TEXT    NOT NULL,
  source           TEXT    NOT NULL CHECK (source = 'call' OR source = 'submit' OR source = 'schedule' OR source = 'workflow'),
  -- What it is a part of: ids.
  schedule         TEXT,
  workflow         TEXT,
  step             TEXT,
  state            TEXT    NOT NULL CHECK (state = 'queued' OR state = 'running' OR state = 'succeeded' OR state = 'failed'
                                          OR state = 'cancelled' OR state = 'outcome_unknown' OR state = 'awaiting_approval'
                                          OR state = 'denied' OR state = 'expired'),
  lane             TEXT,
  priority         INTEGER NOT NULL CHECK (priority BETWEEN -100 AND 100),
  effect           TEXT    NOT NULL CHECK (effect = 'read_only' OR effect = 'idempotent' OR effect = 'once'),
  run_at           INTEGER NOT NULL,
  -- 1 once run_at has been reached. Keeps jobs of the future out of the index that a claim walks.
  due              INTEGER NOT NULL CHECK (due IN (0, 1)),
  arguments        TEXT    NOT NULL,
  arguments_digest BLOB    NOT NULL CHECK (length(arguments_digest) = 32),
  timeout_ms       INTEGER CHECK (timeout_ms > 0),
  max_attempts     INTEGER NOT NULL CHECK (max_attempts >= 1),
  -- The policy as JSON, where its tool or its caller declares one.
  retry            TEXT,
  idempotency_key  TEXT    CHECK (length(idempotency_key) BETWEEN 1 AND 255),
  attempt          INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  failures         INTEGER NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND attempt),
  worker           TEXT,
  lease_until      INTEGER,
  cancel_at        INTEGER,
  cancel_by        TEXT,
  cancel_reason    TEXT,
  error_code       TEXT,
  error_message    TEXT,
  -- 1 where it runs only if every key of its plugin's profile is enforced.
  strict_sandbox   INTEGER NOT NULL CHECK (strict_sandbox IN (0, 1)),
  -- Under which rules it was allowed, and how its caller had come in, as JSON.
  decision         TEXT    NOT NULL,
  output_bytes     INTEGER NOT NULL DEFAULT 0,
  -- How often an approval was asked for, and what was approved of.
  approval_round   INTEGER NOT NULL DEFAULT 0 CHECK (approval_round >= 0),
  approved         BLOB    CHECK (length(approved) = 32),
  -- All that was printed, where that is more than is kept.
  printed_bytes    INTEGER CHECK (printed_bytes > 0),
  created_at       INTEGER NOT NULL,
  finished_at      INTEGER,
  CHECK ((state = 'running') = (worker IS NOT NULL)),
  CHECK ((state = 'running') = (lease_until IS NOT NULL)),
  CHECK ((state = 'queued' OR state = 'running' OR state = 'awaiting_approval') = (finished_at IS NULL)),
  -- What needs an approval neither waits for a worker nor runs without one.
  CHECK (approval_round = 0 OR approved IS NOT NULL OR NOT (state = 'queued' OR state = 'running')),
  CHECK (state <> 'awaiting_approval' OR (approval_round > 0 AND approved IS NULL)),
  CHECK ((cancel_at IS NULL) = (cancel_by IS NULL)),
  CHECK ((workflow IS NULL) = (step IS NULL)),
  CHECK ((source = 'schedule') = (schedule IS NOT NULL)),
  CHECK ((source = 'workflow') = (workflow IS NOT NULL)),
  CHECK ((error_code IS NULL) = (error_message IS NULL))
) STRICT;

-- What a claim walks: lane by lane, plugin by plugin and agent by agent, best job first. Finished and future jobs are not in it,
-- however many there are. Plugin and agent are in it so that a pause of the one and the turn of the other cost a step, not a look
-- at each of their jobs.
CREATE INDEX jobs_claimable ON jobs (lane, plugin, agent, priority DESC, run_at, num) WHERE state = 'queued' AND due = 1;
CREATE INDEX jobs_future ON jobs (run_at) WHERE state = 'queued' AND due = 0;
-- One running job a lane: the promise that plugin actions are serial, kept by the database itself.
-- Jobs without a lane do not collide here, as NULLs are distinct; they are in it so that held jobs are found at once.
CREATE UNIQUE INDEX jobs_running ON jobs (lane) WHERE state = 'running';
CREATE INDEX jobs_of_schedule ON jobs (schedule) WHERE schedule IS NOT NULL;
CREATE INDEX jobs_of_workflow ON jobs (workflow) WHERE workflow IS NOT NULL;
CREATE UNIQUE INDEX jobs_idempotency ON jobs (agent, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE attempts (
  job           INTEGER NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
  n             INTEGER NOT NULL CHECK (n >= 1),
  worker        TEXT    NOT NULL,
  started_at    INTEGER NOT NULL,
  ended_at      INTEGER,
  outcome       TEXT    CHECK (outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'stopped' OR outcome = 'released'
                                 OR outcome = 'interrupted' OR outcome = 'snoozed' OR outcome = 'worker_lost' OR outcome = 'approval_voided'),
  error_code    TEXT,
  error_message TEXT,
  -- What held it, as JSON; none where no process has run.
  sandbox       TEXT,
  PRIMARY KEY (job, n),
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a number that a client holds as Last-Event-ID must never name another event after pruning.
CREATE TABLE job_events (
  seq  INTEGER PRIMARY KEY AUTOINCREMENT,
  job  INTEGER NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
  at   INTEGER NOT NULL,
  kind TEXT    NOT NULL,
  data TEXT    NOT NULL
) STRICT;
CREATE INDEX job_events_of_job ON job_events (job);

CREATE TABLE outputs (
  id      INTEGER PRIMARY KEY,
  job     INTEGER NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  start   INTEGER NOT NULL CHECK (start >= 0),
  data    BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX outputs_of_job ON outputs (job, attempt, start);

CREATE TABLE workers (
  id         TEXT    PRIMARY KEY,
  host       TEXT    NOT NULL,
  pid        INTEGER NOT NULL,
  version    TEXT    NOT NULL,
  -- 1 where `smcp up` has started it, and ends it when fewer are wanted.
  managed    INTEGER NOT NULL CHECK (managed IN (0, 1)),
  started_at INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  -- Since then it claims nothing, and ends after the job that it has.
  draining_at INTEGER,
  stopped_at INTEGER,
  -- How far its machine holds plugins to their profiles, as JSON.
  sandbox    TEXT
) STRICT, WITHOUT ROWID;

-- What one worker at a time does for all: schedules, workflows, retention. Whoever holds the lease does it.
CREATE TABLE duties (
  name   TEXT    PRIMARY KEY,
  worker TEXT    NOT NULL,
  until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Each record's hash covers the one before it: SHA-256(previous hash || canonical JSON of the record).
CREATE TABLE audit (
  seq   INTEGER PRIMARY KEY,
  at    INTEGER NOT NULL,
  kind  TEXT    NOT NULL,
  agent TEXT    NOT NULL,
  job   TEXT,
  data  TEXT    NOT NULL,
  hash  BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- The tools that a worker found. `wanted` above `scanned` asks the workers to look again.
CREATE TABLE catalogue (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  wanted        INTEGER NOT NULL,
  scanned       INTEGER NOT NULL,
  version       INTEGER NOT NULL,
  -- Grows when an agent attaches or detaches tools.
  choices       INTEGER NOT NULL,
  scanner       TEXT,
  scanner_until INTEGER,
  scanned_at    INTEGER,
  problems      TEXT    NOT NULL,
  CHECK (scanned <= wanted),
  CHECK ((scanner IS NULL) = (scanner_until IS NULL))
) STRICT;
INSERT INTO catalogue (id, wanted, scanned, version, choices, problems) VALUES (1, 0, 0, 0, 0, '[]');

CREATE TABLE plugins (
  name   TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  data   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Tools that were there once, so that whoever still calls one hears what became of it.
CREATE TABLE retired_tools (
  name       TEXT    PRIMARY KEY,
  plugin     TEXT    NOT NULL,
  retired_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The tools that an agent keeps attached (`sanctum__tools`); no row means all of them.
CREATE TABLE attachments (
  agent      TEXT    PRIMARY KEY,
  tools      TEXT    NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- MCP sessions, so that any API process can go on with them, also after a restart. `parameters` is what the client
-- said at its `initialize`.
CREATE TABLE sessions (
  id         TEXT    PRIMARY KEY,
  agent      TEXT    NOT NULL,
  parameters TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_seen ON sessions (seen_at);

-- What became of a request in a session: a job, or an answer that asking again would not give again.
CREATE TABLE session_calls (
  session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  request TEXT NOT NULL,
  job     TEXT,
  answer  TEXT,
  PRIMARY KEY (session, request),
  CHECK ((job IS NULL) <> (answer IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX session_calls_of_job ON session_calls (job) WHERE job IS NOT NULL;
