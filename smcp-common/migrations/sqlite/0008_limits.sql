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
