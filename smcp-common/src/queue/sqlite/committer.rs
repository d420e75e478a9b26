//! A connection that writes: transactions begun at the right moment, committed or undone as a whole, and the
//! doorbell rung after those that made news.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;

use super::{Options, upkeep};
use crate::audit::DigestKey;
use crate::clock::SharedClock;
use crate::queue::QueueError;
use crate::queue::bell::Bell;
use crate::queue::command::{Marks, Tx};
use crate::secret::Keys;

#[derive(Debug)]
pub(super) struct Committer {
    connection: Connection,
    clock: SharedClock,
    bell: Bell,
    keys: Arc<Keys>,
    path: PathBuf,
    /// Device and inode of the file that the connection writes to.
    identity: (u64, u64),
    digest_key: DigestKey,
    /// The number of the last audit record that was committed here.
    recorded: watch::Sender<i64>,
}

impl Committer {
    pub(super) fn new(
        connection: Connection,
        clock: SharedClock,
        bell: Bell,
        keys: Arc<Keys>,
        options: &Options,
    ) -> std::io::Result<Self> {
        let path = options.path.clone();
        let file = std::fs::metadata(&path)?;
        Ok(Self {
            connection,
            clock,
            bell,
            keys,
            path,
            identity: (file.dev(), file.ino()),
            digest_key: options.digest_key.clone(),
            recorded: watch::Sender::new(0),
        })
    }

    pub(super) fn recorded(&self) -> watch::Receiver<i64> {
        self.recorded.subscribe()
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
            digest_key: &self.digest_key,
            keys: &self.keys,
            marks: Marks::default(),
        };
        let result = body(&mut tx);
        let (rings, tip) = (tx.marks.rings, tx.marks.tip());
        let result = result.and_then(|answer| {
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(answer)
        });
        match &result {
            Ok(_) => {
                if rings {
                    self.bell.ring();
                }
                if let Some(seq) = tip {
                    self.recorded.send_replace(seq);
                }
            }
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

    /// Planner statistics, and the write-ahead log.
    pub(super) fn look_after(&self) {
        upkeep::look_after(&self.connection, &self.path);
    }
}
