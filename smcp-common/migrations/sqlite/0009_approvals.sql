-- Calls that wait for somebody to approve of them. Times are integer milliseconds UTC.

CREATE TABLE approvals (
  job          INTEGER NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
  round        INTEGER NOT NULL CHECK (round >= 1),
  -- What is approved of: agent, tool, arguments, the plugin's files, the rules.
  digest       BLOB    NOT NULL CHECK (length(digest) = 32),
  -- Whose members may approve of it, as a JSON array; the rules that ask for it, likewise.
  groups       TEXT    NOT NULL,
  rules        TEXT    NOT NULL,
  needed       INTEGER NOT NULL CHECK (needed >= 1),
  requested_at INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  -- How it ended; 'void' where the job ended otherwise, or what it was for has changed.
  outcome      TEXT    CHECK (outcome = 'approved' OR outcome = 'denied' OR outcome = 'expired' OR outcome = 'void'),
  ended_at     INTEGER,
  PRIMARY KEY (job, round),
  CHECK ((outcome IS NULL) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
-- One open request a job, and the order in which they expire.
CREATE UNIQUE INDEX approvals_open ON approvals (job) WHERE outcome IS NULL;
CREATE INDEX approvals_expiring ON approvals (expires_at) WHERE outcome IS NULL;

CREATE TABLE approval_votes (
  job    INTEGER NOT NULL,
  round  INTEGER NOT NULL,
  agent  TEXT    NOT NULL,
  voice  TEXT    NOT NULL CHECK (voice IN ('approve', 'deny')),
  -- Those of the request's groups that the agent was in, as a JSON array.
  groups TEXT    NOT NULL,
  reason TEXT,
  at     INTEGER NOT NULL,
  PRIMARY KEY (job, round, agent),
  FOREIGN KEY (job, round) REFERENCES approvals (job, round) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
