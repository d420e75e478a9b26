-- Plugins that have been accepted. Times are integer milliseconds UTC.

CREATE TABLE pins (
  plugin      TEXT    PRIMARY KEY,
  digest      TEXT    NOT NULL,
  -- The plugin as it described itself when it was accepted, as JSON.
  data        TEXT    NOT NULL,
  accepted_at INTEGER NOT NULL,
  accepted_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Quarantined plugins that an operator looks at. `data` is the plugin as it describes itself, once a worker has asked it.
CREATE TABLE pin_reviews (
  plugin TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  data   TEXT
) STRICT, WITHOUT ROWID;

-- Since when plugins are pinned: what was there then was accepted as it was.
ALTER TABLE catalogue ADD COLUMN pins_since INTEGER;
