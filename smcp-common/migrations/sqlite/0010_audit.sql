-- The chain's own id, so that a checkpoint of another chain is not taken for one of this, and how far it has been
-- anchored outside the database.
CREATE TABLE audit_chain (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  chain            TEXT    NOT NULL,
  -- The last record whose checkpoint has reached the anchor; none where there is no anchor.
  anchored         INTEGER,
  -- Why the last try did not succeed, and when that was.
  anchor_error     TEXT,
  anchor_failed_at INTEGER,
  CHECK ((anchor_error IS NULL) = (anchor_failed_at IS NULL))
) STRICT;
INSERT INTO audit_chain (id, chain) VALUES (1, lower(hex(randomblob(16))));

-- Signed statements about the chain. `seq` is the last record that one vouches for, `count` how many there are up to it.
CREATE TABLE audit_checkpoints (
  seq       INTEGER PRIMARY KEY,
  count     INTEGER NOT NULL,
  hash      BLOB    NOT NULL CHECK (length(hash) = 32),
  chain     TEXT    NOT NULL,
  at        INTEGER NOT NULL,
  key       TEXT    NOT NULL,
  signature BLOB    NOT NULL CHECK (length(signature) = 64)
) STRICT;
