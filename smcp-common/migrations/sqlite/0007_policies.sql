-- The rules in force, in one row: the set that an API has accepted last. Times are integer milliseconds UTC.

CREATE TABLE policies (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  -- Grows with every change.
  version     INTEGER NOT NULL,
  -- That of the rules' meaning; empty before the first API.
  hash        TEXT    NOT NULL,
  -- The zone of weekdays and times of day, by its IANA name.
  zone        TEXT    NOT NULL,
  -- [{"name", "text"}] as JSON.
  files       TEXT    NOT NULL,
  accepted_at INTEGER NOT NULL,
  accepted_by TEXT    NOT NULL
) STRICT;
INSERT INTO policies VALUES (1, 0, '', 'UTC', '[]', 0, '');
