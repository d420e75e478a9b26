-- Agents, their groups and their keys. Times are integer milliseconds UTC.

-- Those that somebody has added, and those that are always there once their groups have been changed.
CREATE TABLE agents (
  name        TEXT    PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 63),
  -- Names, as a sorted JSON array.
  groups      TEXT    NOT NULL,
  -- The most jobs of it that run at a time; none means that nobody has said.
  max_running INTEGER CHECK (max_running >= 1),
  created_at  INTEGER NOT NULL,
  created_by  TEXT    NOT NULL,
  revoked_at  INTEGER
) STRICT, WITHOUT ROWID;

-- A key is stored as its SHA-256 alone. It is 256 random bits, which nobody can guess however fast the digest is made: a slow
-- hash, as passwords need one, would only make each request slow.
CREATE TABLE api_keys (
  id           TEXT    PRIMARY KEY,
  agent        TEXT    NOT NULL REFERENCES agents (name),
  digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
  -- What lists show of it.
  prefix       TEXT    NOT NULL CHECK (length(prefix) BETWEEN 1 AND 9),
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  revoked_at   INTEGER,
  last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_of_agent ON api_keys (agent);
