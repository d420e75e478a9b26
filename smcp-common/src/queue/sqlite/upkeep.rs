//! Looking after the file now and then: planner statistics, and a write-ahead log that does not grow for ever.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde::Serialize;

/// A write-ahead log larger than this means that somebody holds a read transaction open.
const ALARM_BYTES: u64 = 256 * 1024 * 1024;
/// How long readers may hold up a checkpoint, which in turn holds up all writers.
const BUSY: Duration = Duration::from_millis(50);

/// The write-ahead log, into which every commit goes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wal {
    /// Its size; 0 where there is none.
    pub bytes: u64,
    /// What is wrong with it, for people.
    pub warning: Option<&'static str>,
}

impl Wal {
    /// The log beside that database.
    pub(in crate::queue) fn of(database: &Path) -> Self {
        Self::with_alarm(database, ALARM_BYTES)
    }

    fn with_alarm(database: &Path, alarm_bytes: u64) -> Self {
        let bytes = std::fs::metadata(beside(database)).map_or(0, |file| file.len());
        let warning = warning(bytes, alarm_bytes);
        Self { bytes, warning }
    }
}

/// Brings planner statistics up to date and empties the write-ahead log, if nobody reads from it.
pub(super) fn look_after(connection: &Connection, database: &Path) {
    look_after_with(connection, database, ALARM_BYTES);
}

fn look_after_with(connection: &Connection, database: &Path, alarm_bytes: u64) {
    let wal = Wal::with_alarm(database, alarm_bytes);
    if let Some(warning) = wal.warning {
        tracing::warn!(wal.bytes = wal.bytes, "{warning}");
    }
    let done = connection
        .execute_batch("PRAGMA optimize")
        .and_then(|()| truncate(connection));
    if let Err(error) = done {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "database maintenance was put off");
    }
}

/// Copies the log back and empties it. It does so under the write lock, so that it must not wait for readers as
/// long as a commit waits for others; what they keep stays there for the next time.
fn truncate(connection: &Connection) -> rusqlite::Result<()> {
    let usual: u64 = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
    connection.busy_timeout(BUSY)?;
    let truncated = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.busy_timeout(Duration::from_millis(usual))?;
    truncated
}

fn warning(bytes: u64, alarm_bytes: u64) -> Option<&'static str> {
    (bytes > alarm_bytes)
        .then_some("the write-ahead log is large: is a reader holding a transaction open?")
}

fn beside(database: &Path) -> PathBuf {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use tempfile::TempDir;

    use super::*;
    use crate::queue::sqlite::connection::{Durability, open_reader, open_writer};

    /// Small enough to be passed by a few writes.
    const ALARM: u64 = 100_000;
    const COMMIT_WAITS: Duration = Duration::from_secs(5);

    #[test]
    fn a_log_is_too_large_from_its_limit_on() {
        assert_eq!(warning(0, ALARM), None);
        assert_eq!(warning(ALARM, ALARM), None);
        assert!(warning(ALARM + 1, ALARM).is_some());
    }

    #[test]
    fn a_database_without_a_log_has_nothing_wrong_with_it() {
        let wal = Wal::of(Path::new("/nowhere/smcp.db"));
        assert_eq!((wal.bytes, wal.warning), (0, None));
    }

    #[test]
    fn a_log_that_a_reader_holds_is_told_of_and_emptied_after_it() {
        let (_directory, path) = database();
        let writer = open_writer(&path, Durability::Normal, COMMIT_WAITS).unwrap();
        let reader = open_reader(&path, COMMIT_WAITS).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let count = "SELECT count(*) FROM retired_tools";
        let before: u32 = reader.query_row(count, [], |row| row.get(0)).unwrap();
        for n in 0..200 {
            write(&writer, n);
        }
        let begun = Instant::now();
        let said = heard(|| look_after_with(&writer, &path, ALARM));
        assert!(
            begun.elapsed() < COMMIT_WAITS / 2,
            "it waits for the reader"
        );
        assert!(
            said.contains("is a reader holding a transaction open"),
            "{said}"
        );
        assert!(
            Wal::with_alarm(&path, ALARM).bytes > ALARM,
            "kept for the reader"
        );
        // The next commit waits for another process's transaction as ever.
        let waits: u64 = writer
            .pragma_query_value(None, "busy_timeout", |row| row.get(0))
            .unwrap();
        assert_eq!(u128::from(waits), COMMIT_WAITS.as_millis());
        let during: u32 = reader.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(during, before, "the reader sees what it saw");

        reader.execute_batch("COMMIT").unwrap();
        look_after_with(&writer, &path, ALARM);
        assert_eq!(
            Wal::with_alarm(&path, ALARM),
            Wal {
                bytes: 0,
                warning: None
            }
        );
        assert_eq!(heard(|| look_after_with(&writer, &path, ALARM)), "");
        let after: u32 = reader.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(after, before + 200);
    }

    fn database() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("smcp.db");
        (directory, path)
    }

    fn write(writer: &Connection, n: u32) {
        let sql = "INSERT INTO retired_tools (name, plugin, retired_at) VALUES (?1, 'p', 0)";
        writer
            .execute(sql, [format!("{n} {}", "x".repeat(1_000))])
            .unwrap();
    }

    /// What is logged while `act` runs.
    fn heard(act: impl FnOnce()) -> String {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_writer({
                let log = log.clone();
                move || log.clone()
            })
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
