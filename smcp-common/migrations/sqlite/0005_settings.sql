-- What operators have set while SMCP runs. No row means the default.

CREATE TABLE settings (
  name       TEXT    PRIMARY KEY,
  value      INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  updated_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
