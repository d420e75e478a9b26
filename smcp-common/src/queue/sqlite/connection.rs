//! A connection as this project wants it: pragmas, identity of the file, migrations.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::queue::OpenError;

/// The file's `application_id`: "SMCP".
const APPLICATION_ID: i64 = 0x534d_4350;

/// The schema, one entry a version; `user_version` says how many have been applied.
const MIGRATIONS: [&str; 12] = [
    include_str!("../../../migrations/sqlite/0001_jobs.sql"),
    include_str!("../../../migrations/sqlite/0002_schedules.sql"),
    include_str!("../../../migrations/sqlite/0003_workflows.sql"),
    include_str!("../../../migrations/sqlite/0004_pauses.sql"),
    include_str!("../../../migrations/sqlite/0005_settings.sql"),
    include_str!("../../../migrations/sqlite/0006_agents.sql"),
    include_str!("../../../migrations/sqlite/0007_policies.sql"),
    include_str!("../../../migrations/sqlite/0008_limits.sql"),
    include_str!("../../../migrations/sqlite/0009_approvals.sql"),
    include_str!("../../../migrations/sqlite/0010_audit.sql"),
    include_str!("../../../migrations/sqlite/0011_secrets.sql"),
    include_str!("../../../migrations/sqlite/0012_pins.sql"),
];

/// The write-ahead log is copied back when it has so many pages: 32 MB.
const CHECKPOINT_PAGES: u32 = 8_000;

/// How hard a commit is pushed to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// An acknowledged commit survives a power loss (`synchronous=FULL`).
    #[default]
    Full,
    /// It survives the death of any process, but the last moments may be lost with the power (`NORMAL`).
    Normal,
}

/// Opens the file for writing, creates it if need be, and brings its schema up to date.
pub(super) fn open_writer(
    path: &Path,
    durability: Durability,
    busy: Duration,
) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path).map_err(|source| explain(path, source))?;
    let is_new = identify(&connection, path)?;
    prepare(&connection, busy)
        .and_then(|()| {
            if is_new {
                // Can be chosen before the first page is written, and never again. Pruning leaves free pages behind.
                connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            }
            // In larger steps than SQLite's own, in which a page that many commits have changed is written back once.
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(
                None,
                "synchronous",
                match durability {
                    Durability::Full => "FULL",
                    Durability::Normal => "NORMAL",
                },
            )?;
            connection.pragma_update(None, "foreign_keys", true)?;
            migrate(&mut connection)
        })
        .map_err(|source| explain(path, source))?;
    Ok(connection)
}

/// Opens the file, which must exist, for reading.
pub(super) fn open_reader(path: &Path, busy: Duration) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| explain(path, source))?;
    prepare(&connection, busy).map_err(|source| explain(path, source))?;
    Ok(connection)
}

/// Opens a file for reading that may be anything, and refuses it where it is not a database of ours.
pub(super) fn open_existing(path: &Path, busy: Duration) -> Result<Connection, OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    // SQLite says "unable to open" of whatever is wrong; the system says what it is.
    std::fs::File::open(path).map_err(io)?;
    let connection = open_reader(path, busy)?;
    identify(&connection, path)?;
    // An empty file is as good as none to a writer, but nothing to read.
    if number(&connection, "application_id", path)? != APPLICATION_ID {
        return Err(OpenError::NotOurs {
            path: path.to_owned(),
        });
    }
    Ok(connection)
}

/// Looks for damage.
///
/// # Errors
/// [`OpenError::Damaged`] with the first finding.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let finding: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| explain(path, source))?;
    if finding == "ok" {
        Ok(())
    } else {
        Err(OpenError::Damaged {
            path: path.to_owned(),
            detail: finding,
        })
    }
}

fn prepare(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy)?;
    connection.set_prepared_statement_cache_capacity(96);
    // The bundled SQLite has STAT4, with which it re-plans the claim for every bound value: half the throughput.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -16_000)
}

/// Refuses a file that is not ours before anything is written to it. True where it is empty.
fn identify(connection: &Connection, path: &Path) -> Result<bool, OpenError> {
    // One transaction: another process may be making the file right now.
    let identity = connection.unchecked_transaction().and_then(|transaction| {
        let id: i64 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let objects = "SELECT count(*) FROM sqlite_schema";
        let is_empty = transaction.query_row(objects, [], |row| row.get::<_, i64>(0))? == 0;
        Ok((id, version, is_empty))
    });
    let (id, found, is_empty) = identity.map_err(|source| explain(path, source))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if !is_empty && id != APPLICATION_ID {
        return Err(OpenError::NotOurs {
            path: path.to_owned(),
        });
    }
    if found > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(is_empty)
}

fn number(connection: &Connection, pragma: &str, path: &Path) -> Result<i64, OpenError> {
    connection
        .pragma_query_value(None, pragma, |row| row.get(0))
        .map_err(|source| explain(path, source))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let applied = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0))
    };
    // Without the lock first: a process must be able to start while another one writes for long.
    if applied(connection)? >= MIGRATIONS.len() {
        return Ok(());
    }
    // Several processes may start at once on a new file: the lock makes one of them do it.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let applied = applied(&transaction)?;
    if applied < MIGRATIONS.len() {
        for migration in &MIGRATIONS[applied..] {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    }
    transaction.commit()
}

pub(super) fn explain(path: &Path, source: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode as Code;
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(Code::NotADatabase) => OpenError::NotOurs { path },
        Some(Code::DatabaseCorrupt) => OpenError::Damaged {
            path,
            detail: source.to_string(),
        },
        _ => OpenError::Database { path, source },
    }
}
