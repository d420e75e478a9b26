-- From what no worker takes jobs: everything, a lane, or a plugin. Jobs that run are not touched.
CREATE TABLE pauses (
  scope     TEXT    NOT NULL CHECK (scope = 'all' OR scope = 'lane' OR scope = 'plugin'),
  name      TEXT    NOT NULL,
  paused_at INTEGER NOT NULL,
  paused_by TEXT    NOT NULL,
  reason    TEXT,
  PRIMARY KEY (scope, name),
  CHECK ((scope = 'all') = (name = ''))
) STRICT, WITHOUT ROWID;
