-- Secrets, encrypted. Times are integer milliseconds UTC.
-- What is sealed begins with the id of its key, which is 8 bytes.

-- Each value is for the calls of one agent, or of everybody, which is the scope ''.
CREATE TABLE secrets (
  name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
  scope      TEXT    NOT NULL,
  -- Grows each time that it is set.
  version    INTEGER NOT NULL CHECK (version >= 1),
  sealed     BLOB    NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT    NOT NULL,
  updated_at INTEGER NOT NULL,
  updated_by TEXT    NOT NULL,
  PRIMARY KEY (name, scope)
) STRICT, WITHOUT ROWID;

-- The key under which all is sealed, once something is.
CREATE TABLE secrets_key (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  id         BLOB    NOT NULL CHECK (length(id) = 8),
  -- Sealed under it: the key with which digests of secret arguments are made, which outlives it.
  digest_key BLOB    NOT NULL,
  since      INTEGER NOT NULL
) STRICT;

-- The arguments of parameters that are declared secret; `arguments` has them masked.
ALTER TABLE jobs ADD COLUMN sealed BLOB;
CREATE INDEX jobs_sealed ON jobs (num) WHERE sealed IS NOT NULL;
