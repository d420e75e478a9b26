//! What one worker at a time does for all of them. Whoever holds the lease does it, on a thread and a connection of its
//! own, so that a long plugin run holds nothing up; everything it does is one transaction that any other worker could
//! have made instead, so that nothing is lost or done twice when the lease changes hands.

mod audit;
mod retention;
mod schedules;
mod tools;
mod workflows;

use std::path::PathBuf;
use std::time::Duration;

use smcp_common::clock::{SharedClock, Timestamp};
use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::{Options, Queue, QueueError, SCHEDULER};
use tokio::time::{Instant, sleep};

pub(crate) use self::audit::Audit;
use self::retention::Pruner;
use self::schedules::Schedules;
use self::tools::KnownTools;
use crate::presence::settle_the_dead;
use crate::upkeep::Upkeep;
use crate::{WorkerError, thread};

/// How long a silent holder keeps it.
const TERM: Duration = Duration::from_secs(30);
/// How often a worker that does not hold the lease looks whether it could, and one that does renews it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// News that come together are looked at together: at most so often.
const PAUSE: Duration = Duration::from_millis(20);
/// After an error the next try comes so much later.
const RETRY: Duration = Duration::from_secs(1);

/// Does what is due whenever this worker holds the lease, until `shutdown` begins. `siblings` is where all workers have
/// their directories, `default_timeout` is for tools that declare none,
/// and `audit` signs the audit chain.
///
/// # Errors
/// The database cannot be opened once more, or the system gives no thread.
pub(crate) fn start(
    options: &Options,
    clock: SharedClock,
    worker: String,
    siblings: PathBuf,
    default_timeout: Option<Duration>,
    audit: Audit,
    shutdown: Shutdown,
) -> Result<(), WorkerError> {
    thread::start("scheduler", options, clock, move |queue| {
        let duties = Duties {
            queue,
            tools: KnownTools::default(),
            upkeep: Upkeep::default(),
            pruner: Pruner::new(),
            audit,
            schedules: Schedules::new(&worker, default_timeout),
            default_timeout,
            siblings,
            worker,
        };
        duties.run(shutdown)
    })
}

struct Duties {
    queue: Queue,
    worker: String,
    /// Where all workers of this database have their directories.
    siblings: PathBuf,
    tools: KnownTools,
    schedules: Schedules,
    pruner: Pruner,
    audit: Audit,
    upkeep: Upkeep,
    default_timeout: Option<Duration>,
}

impl Duties {
    async fn run(mut self, shutdown: Shutdown) {
        let mut news = self.queue.news();
        let mut look_at = Instant::now();
        loop {
            news.mark_unchanged();
            if look_at <= Instant::now() {
                look_at = Instant::now() + LOOK_EVERY;
                self.look_around().await;
            }
            let next = match self.perform().await {
                Ok(next) => next,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "the scheduler tries again");
                    Some(self.queue.clock().now().plus(RETRY))
                }
            };
            let now = self.queue.clock().now();
            let due = next.map_or(LOOK_EVERY, |next| next.since(now).min(LOOK_EVERY));
            tokio::select! {
                // The sender lives as long as the queue.
                _ = news.changed() => sleep(PAUSE).await,
                () = sleep(due) => {}
                () = shutdown.drain.cancelled() => return,
            }
        }
    }

    /// Every worker does that, so that one that has died is missed for no longer than a second: its jobs and its duties
    /// are for the others. Costs a look into a directory where all live.
    async fn look_around(&self) {
        if let Err(error) = settle_the_dead(&self.queue, &self.siblings).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "jobs of dead workers are settled later");
        }
    }

    /// Does what is due; answers when there is something to do again, apart from news.
    async fn perform(&mut self) -> Result<Option<Timestamp>, QueueError> {
        if !self.queue.take_duty(SCHEDULER, &self.worker, TERM).await? {
            return Ok(None);
        }
        let retry_at = self.queue.clock().now().plus(RETRY);
        // One that fails does not keep the others from being done.
        let done = |what: &str, done: Result<Option<Timestamp>, QueueError>| {
            done.unwrap_or_else(|error| {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "{what} will be tried again");
                Some(retry_at)
            })
        };
        let schedules = self.schedules.perform(&self.queue, &mut self.tools).await;
        let workflows = workflows::perform(
            &self.queue,
            &mut self.tools,
            &self.worker,
            self.default_timeout,
        )
        .await;
        let approvals = self.queue.expire_approvals().await;
        let pruning = self.pruner.perform(&self.queue, &self.worker).await;
        let audit = self.audit.perform(&self.queue).await;
        self.upkeep.perform(&self.queue);
        let next = [
            done("firing schedules", schedules),
            done("advancing workflows", workflows),
            done("giving up unapproved jobs", approvals),
            done("pruning jobs", pruning.map(Some)),
            done("signing audit records", audit),
        ];
        Ok(next.into_iter().flatten().min())
    }
}
