//! A copy of the database as it is at one moment, taken while others write to it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::connection;
use crate::queue::OpenError;

/// How long the copy waits for a lock.
const BUSY: Duration = Duration::from_secs(30);

/// A backup that was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The target is there already.
    #[error("{0} exists already; a backup never overwrites a file")]
    Exists(PathBuf),
    /// The target cannot be written.
    #[error("cannot write the backup {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The copy broke off; nothing is left of it.
    #[error("cannot write the backup {path}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: rusqlite::Error,
    },
}

/// Copies the database `from`, which may be in use, to the new file `to`, readable by its owner alone. Answers its
/// size in bytes.
///
/// # Errors
/// [`BackupError`]; no file is left behind.
pub fn backup(from: &Path, to: &Path) -> Result<u64, BackupError> {
    let source = connection::open_existing(from, BUSY)?;
    let io = |source: std::io::Error| {
        let path = to.to_owned();
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            BackupError::Exists(path)
        } else {
            BackupError::Io { path, source }
        }
    };
    // Taking the name first settles that nothing is overwritten, and with which permissions the copy is made.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(io)?;
    let copied = copy(&source, to).map_err(|source| BackupError::Database {
        path: to.to_owned(),
        source,
    });
    let size = copied.and_then(|()| persist(to).map_err(io));
    if size.is_err() {
        // What went wrong is the error to report, not that the remains stay.
        drop(fs::remove_file(to));
    }
    size
}

/// In one step, and so in one read transaction: copied in many, a busy database would make it begin again and again.
/// Writers are not held up; in WAL mode they append while we read.
fn copy(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    let mut target = Connection::open(to)?;
    let backup = Backup::new(source, &mut target)?;
    if backup.step(-1)? == StepResult::Done {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
        None,
    ))
}

fn persist(path: &Path) -> std::io::Result<u64> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
