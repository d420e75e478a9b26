//! Looking after the file of the database now and then, as the API does: a worker may be all that runs.

use std::time::{Duration, Instant};

use smcp_common::queue::Queue;

/// How often.
const EVERY: Duration = Duration::from_mins(1);

/// When it was last done.
#[derive(Debug)]
pub(crate) struct Upkeep(Instant);

impl Default for Upkeep {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Upkeep {
    /// Does it, if it is time.
    pub(crate) fn perform(&mut self, queue: &Queue) {
        if self.0.elapsed() >= EVERY {
            queue.look_after();
            self.0 = Instant::now();
        }
    }
}
