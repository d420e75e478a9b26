-- Agents, their groups and their keys. Times are integer milliseconds UTC.

CREATE TABLE agents (
  name        TEXT    PRIMARY KEY,
  max_running INTEGER CHECK (max_running >= 1)
) STRICT, WITHOUT ROWID;
