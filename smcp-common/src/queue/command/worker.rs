//! Workers announce themselves, so that operators see them and survivors know whose jobs to settle.

use std::time::Duration;

use rusqlite::params;

use super::{Command, Tx};
use crate::queue::QueueError;

#[derive(Debug)]
pub(in crate::queue) struct RegisterWorker {
    pub(in crate::queue) id: String,
    pub(in crate::queue) host: String,
    pub(in crate::queue) pid: u32,
    pub(in crate::queue) version: String,
}

impl Command for RegisterWorker {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        tx.marks.rings = true;
        let now = tx.now.as_millis();
        tx.execute(
            include_str!("../sql/worker_insert.sql"),
            params![self.id, self.host, self.pid, self.version, now],
        )?;
        Ok(())
    }
}

/// A worker's sign of life.
#[derive(Debug)]
pub(in crate::queue) struct SeeWorker {
    pub(in crate::queue) id: String,
}

impl Command for SeeWorker {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let now = tx.now.as_millis();
        tx.execute(
            include_str!("../sql/worker_seen.sql"),
            params![self.id, now],
        )?;
        Ok(())
    }
}

/// Removes the rows of workers that stopped or fell silent long ago.
#[derive(Debug)]
pub(in crate::queue) struct ForgetWorkers {
    pub(in crate::queue) after: Duration,
}

impl Command for ForgetWorkers {
    type Answer = usize;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, QueueError> {
        let before = tx.now.minus(self.after).as_millis();
        tx.execute(include_str!("../sql/worker_forget.sql"), [before])
    }
}
