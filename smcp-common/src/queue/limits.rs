//! What is left of limits.

use rusqlite::Connection;

use super::command as c;
use super::{Queue, QueueError};
use crate::limit::{Left, Limit};

/// Uses that are forgotten in one transaction.
const BATCH: u32 = 2_000;

impl Queue {
    /// How much of each limit is left to that agent now. Uses nothing.
    ///
    /// # Errors
    /// Database errors.
    pub async fn limits_left(
        &self,
        agent: &str,
        limits: &[Limit],
    ) -> Result<Vec<Left>, QueueError> {
        let (agent, limits, now) = (agent.to_owned(), limits.to_vec(), self.clock.now());
        let query = move |connection: &Connection| c::left(connection, &agent, &limits, now);
        self.store.scan(query).await
    }

    /// Forgets uses of limits that do not matter any more, so many at most that nobody waits for it. True where there may be
    /// more. Only reads where there are none.
    ///
    /// # Errors
    /// Database errors.
    pub async fn prune_limits(&self) -> Result<bool, QueueError> {
        if !self.has_free_limits()? {
            return Ok(false);
        }
        self.store.write(c::PruneLimits { most: BATCH }).await?;
        self.has_free_limits()
    }

    fn has_free_limits(&self) -> Result<bool, QueueError> {
        let now = self.clock.now().as_millis();
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/limit_is_free.sql"))?;
            Ok(statement.exists([now])?)
        })
    }
}
