//! Looking after the file of the database now and then, as the API does: a worker may be all that runs.

use std::cell::Cell;
use std::time::{Duration, Instant};

use smcp_common::queue::Queue;

/// How often.
const EVERY: Duration = Duration::from_mins(1);

/// When it was last done.
#[derive(Debug)]
pub(crate) struct Upkeep(Cell<Instant>);

impl Default for Upkeep {
    fn default() -> Self {
        Self(Cell::new(Instant::now()))
    }
}

impl Upkeep {
    /// Does it, if it is time.
    pub(crate) fn perform(&self, queue: &Queue) {
        if self.0.get().elapsed() >= EVERY {
            queue.look_after();
            self.0.set(Instant::now());
        }
    }
}
