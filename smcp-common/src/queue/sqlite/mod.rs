//! The SQLite engine: one writing connection, a few reading ones, and the doorbell.

mod backup;
mod committer;
mod condition;
mod connection;
mod upkeep;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

pub use self::backup::{BackupError, backup};
use self::committer::Committer;
pub use self::condition::{Condition, check, verify_audit};
pub use self::connection::Durability;
pub use self::upkeep::Wal;
use self::writer::Writer;
use super::bell::{Bell, Ear, Wake};
use super::command::Command;
use super::{OpenError, QueueError};
use crate::audit::DigestKey;
use crate::clock::SharedClock;
use crate::secret::{KeyFile, Keys};

/// How long a commit waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);
/// The same where the commit is made on a thread that has other work; the caller tries again.
const BUSY_INLINE: Duration = Duration::from_millis(50);
/// Reading connections kept for reuse.
const READERS: usize = 4;

/// Who commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Commit {
    /// A thread that gathers the commands of many callers into one commit: for the API.
    #[default]
    Grouped,
    /// The caller's own thread: for a worker that has one job at a time, where a hop between threads would cost
    /// more than the statement.
    Inline,
}

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file; its directory must exist.
    pub path: PathBuf,
    /// How hard a commit is pushed to the disk.
    pub durability: Durability,
    /// Who commits.
    pub commit: Commit,
    /// How news by others are noticed.
    pub wake: Wake,
    /// Look for damage first. Reads the whole file.
    pub check: bool,
    /// The key under which audit records digest arguments.
    pub digest_key: DigestKey,
    /// The key of the secrets; it is needed only where there are some.
    pub secrets_key: KeyFile,
}

#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    write: Write,
    readers: Arc<Mutex<Vec<Connection>>>,
    ear: Ear,
    recorded: watch::Receiver<i64>,
    keys: Arc<Keys>,
}

#[derive(Debug)]
enum Write {
    Grouped(Writer),
    Inline(Box<Mutex<Committer>>),
}

impl Store {
    pub(super) fn open(options: &Options, clock: SharedClock) -> Result<Self, OpenError> {
        let path = options.path.clone();
        let io = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        let busy = match options.commit {
            Commit::Grouped => BUSY,
            Commit::Inline => BUSY_INLINE,
        };
        let turn = turn(&path).map_err(io)?;
        let connection = connection::open_writer(&path, options.durability, BUSY)?;
        drop(turn);
        if options.check {
            connection::check(&connection, &path)?;
        }
        connection
            .busy_timeout(busy)
            .map_err(|source| OpenError::Database {
                path: path.clone(),
                source,
            })?;
        let bell = Bell::beside(&path).map_err(io)?;
        let ear = Ear::listen(
            &path,
            connection::open_reader(&path, BUSY_INLINE)?,
            options.wake,
        );
        let keys = Arc::new(Keys::new(options.secrets_key.clone()));
        let committer = Committer::new(connection, clock, bell, Arc::clone(&keys), options);
        let committer = committer.map_err(io)?;
        let recorded = committer.recorded();
        let write = match options.commit {
            Commit::Grouped => Write::Grouped(Writer::start(committer).map_err(io)?),
            Commit::Inline => Write::Inline(Box::new(Mutex::new(committer))),
        };
        Ok(Self {
            path,
            write,
            readers: Arc::default(),
            ear,
            recorded,
            keys,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.ear.news()
    }

    pub(super) fn recorded(&self) -> watch::Receiver<i64> {
        self.recorded.clone()
    }

    /// What seals secrets.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Looks after the file, unless the thread that commits does.
    pub(super) fn look_after(&self) {
        match &self.write {
            Write::Grouped(_) => {}
            Write::Inline(committer) => {
                let committer = committer.lock().unwrap_or_else(PoisonError::into_inner);
                committer.look_after();
            }
        }
    }

    /// Carries out a command; returns after the commit.
    pub(super) async fn write<C: Command>(&self, command: C) -> Result<C::Answer, QueueError> {
        match &self.write {
            Write::Grouped(writer) => writer.run(command).await,
            Write::Inline(committer) => {
                let mut committer = committer.lock().unwrap_or_else(PoisonError::into_inner);
                committer.commit(|tx| command.apply(tx))
            }
        }
    }

    /// Runs a short query, bounded in rows, on the caller's thread.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        if let Write::Inline(committer) = &self.write {
            let committer = committer.lock().unwrap_or_else(PoisonError::into_inner);
            return query(committer.connection());
        }
        let connection = self.reader()?;
        let result = query(&connection);
        self.put_back(connection);
        result
    }

    /// Runs a query that may take long on a thread of its own.
    pub(super) async fn scan<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let store = Arc::clone(self);
        let scan = tokio::task::spawn_blocking(move || {
            let connection = store.reader()?;
            let result = query(&connection);
            store.put_back(connection);
            result
        });
        scan.await.unwrap_or(Err(QueueError::Panicked))
    }

    fn reader(&self) -> Result<Connection, QueueError> {
        let idle = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(connection) => Ok(connection),
            None => connection::open_reader(&self.path, BUSY).map_err(|error| match error {
                OpenError::Database { source, .. } => source.into(),
                OpenError::Io { path, .. }
                | OpenError::NotOurs { path }
                | OpenError::Newer { path, .. }
                | OpenError::Damaged { path, .. } => QueueError::Vanished(path),
            }),
        }
    }

    fn put_back(&self, connection: Connection) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS {
            readers.push(connection);
        }
    }
}

/// Asks a database that nothing else of this process has opened.
pub(super) fn read_existing<T>(
    path: &Path,
    query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, OpenError> {
    let connection = connection::open_existing(path, BUSY)?;
    query(&connection).map_err(|source| connection::explain(path, source))
}

/// Waits until no other process opens a database in that directory, and keeps it so until the answer is dropped.
///
/// Two connections that turn a new file into one with a write-ahead log refuse each other at once, whatever the
/// timeout: SQLite takes it for a deadlock.
fn turn(path: &Path) -> std::io::Result<File> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new(".")))?;
    directory.lock()?;
    Ok(directory)
}
