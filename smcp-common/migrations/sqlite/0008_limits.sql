-- What has been used of limits. Times are integer milliseconds UTC.

-- How often an agent has used a rule that has limits.
CREATE TABLE limits (
  id      INTEGER PRIMARY KEY,
  agent   TEXT    NOT NULL,
  rule    TEXT    NOT NULL,
  -- The number of the last use.
  used    INTEGER NOT NULL CHECK (used >= 1),
  -- From then on no use of it matters.
  free_at INTEGER NOT NULL,
  UNIQUE (agent, rule)
) STRICT;
CREATE INDEX limits_free ON limits (free_at);

-- Its last uses, as many as its limits can ask about. They are numbered, so that the n-th last is found in one step.
CREATE TABLE limit_uses (
  counter INTEGER NOT NULL REFERENCES limits (id) ON DELETE CASCADE,
  n       INTEGER NOT NULL CHECK (n >= 1),
  at      INTEGER NOT NULL,
  PRIMARY KEY (counter, n)
) STRICT, WITHOUT ROWID;

-- Whose jobs a claim may have to pass over.
CREATE INDEX agents_limited ON agents (name) WHERE max_running IS NOT NULL;

-- When agents were served last, as a number that grows: in each lane, and among all whose jobs could have been taken ('' and no
-- lane). Only where there was somebody else to be served.
CREATE TABLE turns (
  scope  TEXT    NOT NULL CHECK (scope = 'all' OR scope = 'lane'),
  lane   TEXT    NOT NULL,
  agent  TEXT    NOT NULL,
  served INTEGER NOT NULL,
  PRIMARY KEY (scope, lane, agent),
  CHECK (scope = 'lane' OR lane = '')
) STRICT, WITHOUT ROWID;
