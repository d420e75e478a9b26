//! What a worker does with a job: claim it, hold it, tell of it, end it.

use std::time::{Duration, Instant};

use super::command as c;
use super::{LeaseWatch, Queue, QueueError};
use crate::clock::Timestamp;
use crate::job::{Claimed, JobId, News, Outcome};
use crate::sandbox::Confinement;

/// How long a worker may be silent before its job is taken from it.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often a worker renews the lease of its job.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// A worker's claim on one attempt of one job: what it must show to change anything about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: u32,
    /// The worker.
    pub worker: String,
}

/// What a look for work found.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// A job, now held by the asking worker.
    Job(Box<Claimed>),
    /// Nothing can be run now; the next job falls due at the given instant.
    None {
        /// When to look again, apart from news.
        next_due: Option<Timestamp>,
    },
}

/// A renewed lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// It holds until then.
    pub until: Timestamp,
    /// Somebody asks for the job to be stopped.
    pub cancelling: bool,
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Whose end it is.
    pub hold: Hold,
    /// How it ended.
    pub outcome: Outcome,
    /// Standard output that has not been appended yet.
    pub output: Vec<u8>,
    /// All that the plugin printed, in bytes, where that is more than is kept.
    pub printed_bytes: Option<u64>,
    /// What held it; `None` where no process has run.
    pub confinement: Option<Confinement>,
}

impl Queue {
    /// ④ Takes the best job that can run now: lane free, highest priority, longest due.
    ///
    /// # Errors
    /// Database errors.
    pub async fn claim(&self, worker: &str) -> Result<Work, QueueError> {
        let (found, next_due) = self
            .store
            .read(|connection| c::peek(connection, self.clock.now()))?;
        if !found {
            return Ok(Work::None { next_due });
        }
        let claimed = self
            .store
            .write(c::Claim {
                worker: worker.to_owned(),
            })
            .await?;
        Ok(claimed.map_or(Work::None { next_due }, |job| Work::Job(Box::new(job))))
    }

    /// ⑤ Stores what a running attempt has to tell.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`]; database errors.
    pub async fn append(&self, hold: &Hold, news: Vec<News>) -> Result<(), QueueError> {
        self.store
            .write(c::AppendNews {
                hold: hold.clone(),
                news,
            })
            .await
    }

    /// Prolongs the lease of a running attempt by [`LEASE`].
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`]; database errors.
    pub async fn renew(&self, hold: &Hold) -> Result<Lease, QueueError> {
        self.store.write(c::Renew(hold.clone())).await
    }

    /// Whether somebody has asked for that running attempt to be stopped.
    ///
    /// # Errors
    /// Database errors.
    pub fn is_cancelling(&self, hold: &Hold) -> Result<bool, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/cancelled_of_worker.sql"))?;
            let mut rows = statement.query([&hold.worker])?;
            while let Some(row) = rows.next()? {
                if row
                    .get_ref(0)?
                    .as_str()
                    .is_ok_and(|id| id == hold.job.as_str())
                    && row.get::<_, u32>(1)? == hold.attempt
                {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// ⑦ Ends an attempt, and with `and_claim` claims the next job in the same commit.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`] where the attempt is not current any more: nothing is changed; database errors.
    pub async fn finish(
        &self,
        finish: Finish,
        and_claim: bool,
    ) -> Result<Option<Claimed>, QueueError> {
        self.store
            .write(c::FinishAttempt { finish, and_claim })
            .await
    }

    /// Settles the jobs whose leases have run out, as far as `watch` has seen them unrenewed for long enough. `at` is
    /// when this look is, by a clock that nobody sets. Answers how many there were.
    ///
    /// # Errors
    /// Database errors.
    pub async fn lose_expired(
        &self,
        watch: &mut LeaseWatch,
        at: Instant,
    ) -> Result<usize, QueueError> {
        let held = self.store.read(c::leases)?;
        let over = watch.look(&held, self.clock.now(), at);
        if over.is_empty() {
            return Ok(0);
        }
        self.store.write(c::LoseExpired(over)).await
    }
}
