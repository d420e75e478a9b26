//! Pruning: what has ended long ago goes, a few jobs at a time.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Command, Tx};
use crate::clock::Timestamp;
use crate::queue::QueueError;

/// Removes jobs with all that belongs to them.
#[derive(Debug)]
pub(in crate::queue) struct PruneJobs {
    pub(in crate::queue) nums: Vec<i64>,
    /// Only where they ended before that.
    pub(in crate::queue) ended_before: Timestamp,
    pub(in crate::queue) worker: String,
}

/// The details of what went: how many there were, and the ids of the first and the last of them, in the order in which they
/// were recorded.
#[derive(Debug, Serialize)]
struct Pruned<'p> {
    count: usize,
    newest: &'p str,
    oldest: &'p str,
}

impl Command for PruneJobs {
    /// How many there were.
    type Answer = usize;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, QueueError> {
        let ended_before = self.ended_before.as_millis();
        let mut gone: Vec<String> = Vec::new();
        for num in &self.nums {
            let deleted = tx
                .connection
                .prepare_cached(include_str!("../sql/prune_delete.sql"))?
                .query_row(params![num, ended_before], |row| row.get(0))
                .optional()?;
            gone.extend(deleted);
        }
        record(tx, "jobs.pruned", &self.worker, &gone)?;
        Ok(gone.len())
    }
}

/// Removes workflows.
#[derive(Debug)]
pub(in crate::queue) struct PruneWorkflows {
    /// Only where they ended before that.
    pub(in crate::queue) ended_before: Timestamp,
    /// So many at most, those that ended first.
    pub(in crate::queue) most: usize,
    pub(in crate::queue) worker: String,
}

impl Command for PruneWorkflows {
    /// How many there were.
    type Answer = usize;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, QueueError> {
        let gone: Vec<String> = tx
            .connection
            .prepare_cached(include_str!("../sql/prune_workflows.sql"))?
            .query_map(params![self.ended_before.as_millis(), self.most], |row| {
                row.get(0)
            })?
            .collect::<Result<_, _>>()?;
        record(tx, "workflows.pruned", &self.worker, &gone)?;
        Ok(gone.len())
    }
}

/// The audit record of what went, if anything did.
fn record(tx: &mut Tx<'_>, kind: &str, worker: &str, gone: &[String]) -> Result<(), QueueError> {
    let ([oldest, ..], [.., newest]) = (gone, gone) else {
        return Ok(());
    };
    let data = Pruned {
        count: gone.len(),
        newest,
        oldest,
    };
    tx.audit(kind, &format!("worker:{worker}"), None, &data)
}

/// Gives some free pages of the file back to the system.
#[derive(Debug)]
pub(in crate::queue) struct FreeSome;

impl Command for FreeSome {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let mut statement = tx
            .connection
            .prepare_cached(include_str!("../sql/free_some.sql"))?;
        let mut pages = statement.query([])?;
        // Each step frees one page.
        while pages.next()?.is_some() {}
        Ok(())
    }
}
