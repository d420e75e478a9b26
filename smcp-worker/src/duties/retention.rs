//! Pruning: once a minute, and when its limits change, jobs are walked through, and those that have ended long ago go,
//! a few at a time with pauses between, so that claims and other duties come in between.

use std::time::Duration;

use smcp_common::clock::Timestamp;
use smcp_common::queue::{Queue, QueueError, Retention, Walk};

/// How often to look whether something is too old or too much.
const EVERY: Duration = Duration::from_mins(1);
/// Between two transactions.
const PAUSE: Duration = Duration::from_millis(50);

/// Where pruning stands.
#[derive(Debug)]
pub(super) struct Pruner {
    stage: Stage,
    /// Not before that.
    next: Timestamp,
    /// The limits that the last walk went by.
    limits: Option<Retention>,
}

#[derive(Debug)]
enum Stage {
    Resting,
    Walking(Walk),
    /// The workflows follow their jobs.
    Forgetting,
    /// What was used of limits long ago.
    Freeing,
    /// What has become free is given back.
    Shrinking,
}

impl Pruner {
    pub(super) const fn new() -> Self {
        Self {
            stage: Stage::Resting,
            next: Timestamp::from_millis(0),
            limits: None,
        }
    }

    /// Does what is due, one transaction at the most; answers when there is more to do.
    ///
    /// # Errors
    /// Database errors. What was under way goes on with the next call.
    pub(super) async fn perform(
        &mut self,
        queue: &Queue,
        worker: &str,
    ) -> Result<Timestamp, QueueError> {
        let now = queue.clock().now();
        let limits = queue.retention()?;
        let is_news = self.limits != Some(limits);
        // Also where the clock has been set back.
        let is_early = now < self.next && self.next.since(now) <= EVERY;
        if is_early && !is_news {
            return Ok(self.next);
        }
        if is_news {
            self.stage = Stage::Resting;
        }
        let (stage, pause) = match &self.stage {
            Stage::Resting => {
                let walk = queue.walk(limits).await?;
                self.limits = Some(limits);
                (Stage::Walking(walk), Duration::ZERO)
            }
            Stage::Walking(walk) => match queue.prune(walk.clone(), worker).await? {
                (jobs, Some(walk)) => {
                    let pause = if jobs > 0 { PAUSE } else { Duration::ZERO };
                    (Stage::Walking(walk), pause)
                }
                (_, None) => (Stage::Forgetting, PAUSE),
            },
            Stage::Forgetting if queue.prune_workflows(limits, worker).await? => {
                (Stage::Forgetting, PAUSE)
            }
            Stage::Forgetting => (Stage::Freeing, Duration::ZERO),
            Stage::Freeing if queue.prune_limits().await? => (Stage::Freeing, PAUSE),
            Stage::Freeing => (Stage::Shrinking, Duration::ZERO),
            Stage::Shrinking if queue.shrink().await? => (Stage::Shrinking, PAUSE),
            Stage::Shrinking => (Stage::Resting, EVERY),
        };
        (self.stage, self.next) = (stage, now.plus(pause));
        Ok(self.next)
    }
}
