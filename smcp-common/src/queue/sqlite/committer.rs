//! A connection that writes: transactions begun at the right moment, committed or undone as a whole, and the
//! doorbell rung after those that made news.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rusqlite::Connection;

use crate::clock::SharedClock;
use crate::queue::QueueError;
use crate::queue::bell::Bell;
use crate::queue::command::{Marks, Tx};

/// A write-ahead log larger than this means that somebody holds a read transaction open.
const WAL_ALARM_BYTES: u64 = 256 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Committer {
    connection: Connection,
    clock: SharedClock,
    bell: Bell,
    path: PathBuf,
    /// Device and inode of the file that the connection writes to.
    identity: (u64, u64),
}

impl Committer {
    pub(super) fn new(
        connection: Connection,
        clock: SharedClock,
        bell: Bell,
        path: PathBuf,
    ) -> std::io::Result<Self> {
        let file = std::fs::metadata(&path)?;
        Ok(Self {
            connection,
            clock,
            bell,
            path,
            identity: (file.dev(), file.ino()),
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs `body` in a transaction and commits it; an error undoes all of it.
    pub(super) fn commit<T>(
        &mut self,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        self.still_there()?;
        // IMMEDIATE: a transaction that reads first and upgrades later cannot wait for the lock.
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        let mut tx = Tx {
            connection: &self.connection,
            now: self.clock.now(),
            marks: Marks::default(),
        };
        let result = body(&mut tx);
        let rings = tx.marks.rings;
        let result = result.and_then(|answer| {
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(answer)
        });
        match &result {
            Ok(_) if rings => self.bell.ring(),
            Ok(_) => {}
            Err(_) => self.undo(),
        }
        result
    }

    /// Without this SQLite would go on writing to a file that has been removed, and lose it all.
    fn still_there(&self) -> Result<(), QueueError> {
        match std::fs::metadata(&self.path) {
            Ok(file) if (file.dev(), file.ino()) == self.identity => Ok(()),
            Ok(_) | Err(_) => Err(QueueError::Vanished(self.path.clone())),
        }
    }

    fn undo(&self) {
        // SQLite undoes some failures by itself.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a transaction cannot be rolled back"
            );
        }
    }

    /// Planner statistics, and the size of the write-ahead log.
    pub(super) fn look_after(&self) {
        let optimized = self.connection.execute_batch("PRAGMA optimize");
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        let bytes = std::fs::metadata(&wal).map_or(0, |file| file.len());
        if bytes > WAL_ALARM_BYTES {
            tracing::warn!(
                wal.bytes = bytes,
                "the write-ahead log is large: is a reader holding a transaction open?"
            );
        }
        let checkpointed = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = optimized.and(checkpointed) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "database maintenance was put off"
            );
        }
    }
}
