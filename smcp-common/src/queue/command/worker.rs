//! Workers announce themselves, so that operators see them and survivors know whose jobs to settle.

use std::time::Duration;

use rusqlite::params;
use serde_json::json;

use super::{Command, Tx, json as text};
use crate::queue::QueueError;
use crate::sandbox::Report;

#[derive(Debug)]
pub(in crate::queue) struct RegisterWorker {
    pub(in crate::queue) id: String,
    pub(in crate::queue) host: String,
    pub(in crate::queue) pid: u32,
    pub(in crate::queue) version: String,
    pub(in crate::queue) managed: bool,
    pub(in crate::queue) sandbox: Option<Report>,
}

impl Command for RegisterWorker {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        tx.marks.rings = true;
        let now = tx.now.as_millis();
        let sandbox = self
            .sandbox
            .as_ref()
            .map(|report| text("workers", &self.id, report))
            .transpose()?;
        tx.execute(
            include_str!("../sql/worker_insert.sql"),
            params![
                self.id,
                self.host,
                self.pid,
                self.version,
                self.managed,
                now,
                sandbox
            ],
        )?;
        let data = json!({"host": self.host, "managed": self.managed, "version": self.version});
        tx.audit(
            "worker.started",
            &format!("worker:{}", self.id),
            None,
            &data,
        )
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

/// Lets a worker, or all of them, end after the jobs that they have.
#[derive(Debug)]
pub(in crate::queue) struct DrainWorkers {
    /// `None` means all.
    pub(in crate::queue) id: Option<String>,
    pub(in crate::queue) by: String,
}

impl Command for DrainWorkers {
    /// The ids of those that are draining now, of those that are meant.
    type Answer = Vec<String>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, QueueError> {
        let meant: Vec<String> = tx
            .connection
            .prepare_cached(include_str!("../sql/worker_drainable.sql"))?
            .query_map([&self.id], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in &meant {
            let now = tx.now.as_millis();
            let marked = tx.execute(include_str!("../sql/worker_drain.sql"), params![id, now])?;
            if marked > 0 {
                tx.marks.rings = true;
                tx.audit("worker.draining", &self.by, None, &json!({ "worker": id }))?;
            }
        }
        Ok(meant)
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
