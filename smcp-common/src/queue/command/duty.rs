//! Who does what one worker at a time does for all.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Command, Tx};
use crate::clock::Timestamp;
use crate::queue::QueueError;

#[derive(Debug, Clone)]
pub(in crate::queue) struct TakeDuty {
    pub(in crate::queue) name: &'static str,
    pub(in crate::queue) worker: String,
    pub(in crate::queue) lease: Duration,
}

/// Where a duty stands for a worker that wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Standing {
    /// The worker's own, and no renewal is due.
    Ours,
    /// Free, or the worker's own and to be renewed.
    Takeable,
    /// Another worker's.
    Others,
}

impl TakeDuty {
    /// Reads only: whoever waits for a duty must not take the write lock to learn that it is taken.
    pub(in crate::queue) fn standing(
        &self,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<Standing, QueueError> {
        let found: Option<(String, i64)> = connection
            .prepare_cached(include_str!("../sql/duty_get.sql"))?
            .query_row([self.name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((worker, until)) = found else {
            return Ok(Standing::Takeable);
        };
        let until = Timestamp::from_millis(until);
        // No lease reaches further than its length: one that does is from before the clock was set back.
        let is_valid = now < until && until <= now.plus(self.lease);
        Ok(match (worker == self.worker, is_valid) {
            (true, true) if until.since(now) > self.lease / 2 => Standing::Ours,
            (true, _) | (false, false) => Standing::Takeable,
            (false, true) => Standing::Others,
        })
    }
}

impl Command for TakeDuty {
    /// Whether it is the worker's now.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        // Again, since another may have been faster.
        if self.standing(tx.connection, tx.now)? == Standing::Others {
            return Ok(false);
        }
        let until = tx.now.plus(self.lease).as_millis();
        tx.execute(
            include_str!("../sql/duty_take.sql"),
            params![self.name, self.worker, until],
        )?;
        Ok(true)
    }
}
