//! Workers as such: who is there, and what becomes of the jobs of those who are not.

use std::time::Duration;

use rusqlite::OptionalExtension;
use serde::Serialize;

use super::command as c;
use super::{LEASE, Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::JobId;
use crate::sandbox::Report;

/// The duty of the worker that does what one does for all: schedules, workflows, retention.
pub const SCHEDULER: &str = "scheduler";
/// The duty of the `smcp up` that starts and ends workers.
pub const SUPERVISOR: &str = "supervisor";

/// A worker process, as it announced itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerInfo {
    /// Its id, new with every start.
    pub id: String,
    /// The machine it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// Whether `smcp up` has started it, and ends it when fewer are wanted.
    pub managed: bool,
    /// When it started.
    pub started_at: Timestamp,
    /// Its last sign of life.
    pub last_seen: Timestamp,
    /// What it is doing.
    pub state: WorkerState,
    /// The job it runs.
    pub job: Option<JobId>,
    /// That job's tool.
    pub tool: Option<String>,
    /// Whether it is the one that does what one does for all.
    pub scheduler: bool,
    /// How far its machine holds plugins to their profiles, where it has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Report>,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Waiting for a job.
    Idle,
    /// Running one.
    Running,
    /// It ends after the job that it has.
    Draining,
    /// No sign of life for as long as a lease lasts: it has died, or its machine cannot be reached.
    Silent,
}

impl WorkerState {
    fn new(silence: Duration, is_draining: bool, is_running: bool) -> Self {
        if silence > LEASE {
            Self::Silent
        } else if is_draining {
            Self::Draining
        } else if is_running {
            Self::Running
        } else {
            Self::Idle
        }
    }
}

impl Queue {
    /// Announces a worker, with what it found of its machine's ways to confine plugins.
    ///
    /// # Errors
    /// Database errors.
    pub async fn register_worker(
        &self,
        id: &str,
        host: &str,
        version: &str,
        managed: bool,
        sandbox: Option<&Report>,
    ) -> Result<(), QueueError> {
        let (id, host, version) = (id.to_owned(), host.to_owned(), version.to_owned());
        self.store
            .write(c::RegisterWorker {
                id,
                host,
                pid: std::process::id(),
                version,
                managed,
                sandbox: sandbox.cloned(),
            })
            .await
    }

    /// Records a worker's sign of life.
    ///
    /// # Errors
    /// Database errors.
    pub async fn see_worker(&self, id: &str) -> Result<(), QueueError> {
        self.store.write(c::SeeWorker { id: id.to_owned() }).await
    }

    /// Workers that have not stopped, in the order in which they started.
    ///
    /// # Errors
    /// Database errors.
    pub fn workers(&self) -> Result<Vec<WorkerInfo>, QueueError> {
        let now = self.clock.now();
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/worker_list.sql"))?;
            let mut rows = statement.query([SCHEDULER])?;
            let mut workers = Vec::new();
            while let Some(row) = rows.next()? {
                let last_seen = Timestamp::from_millis(row.get(6)?);
                let is_draining = row.get::<_, Option<i64>>(7)?.is_some();
                let job: Option<String> = row.get(8)?;
                let id: String = row.get(0)?;
                workers.push(WorkerInfo {
                    sandbox: row::sandbox("workers", &id, row.get(11)?)?,
                    id,
                    host: row.get(1)?,
                    pid: row.get(2)?,
                    version: row.get(3)?,
                    managed: row.get(4)?,
                    started_at: Timestamp::from_millis(row.get(5)?),
                    last_seen,
                    state: WorkerState::new(now.since(last_seen), is_draining, job.is_some()),
                    job: job.map(|id| row::job_id(&id)).transpose()?,
                    tool: row.get(9)?,
                    scheduler: row.get(10)?,
                });
            }
            Ok(workers)
        })
    }

    /// Lets the worker of that id, or with `None` all of them, end after the jobs that they have: they claim nothing any
    /// more. Answers the ids of those that are meant, also where they were draining already.
    ///
    /// # Errors
    /// Database errors.
    pub async fn drain_workers(
        &self,
        id: Option<&str>,
        by: &str,
    ) -> Result<Vec<String>, QueueError> {
        let (id, by) = (id.map(ToOwned::to_owned), by.to_owned());
        self.store.write(c::DrainWorkers { id, by }).await
    }

    /// Whether a worker has been asked to end, and has no job any more.
    ///
    /// # Errors
    /// Database errors.
    pub fn has_drained(&self, worker: &str) -> Result<bool, QueueError> {
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/worker_has_drained.sql"))?
                .query_row([worker], |row| row.get(0))?)
        })
    }

    /// Whether somebody has that duty, as far as a lease tells.
    ///
    /// # Errors
    /// Database errors.
    pub fn is_on_duty(&self, name: &str) -> Result<bool, QueueError> {
        let now = self.clock.now();
        self.store.read(|connection| {
            let until: Option<i64> = connection
                .prepare_cached(include_str!("sql/duty_get.sql"))?
                .query_row([name], |row| row.get(1))
                .optional()?;
            Ok(until.is_some_and(|until| now < Timestamp::from_millis(until)))
        })
    }

    /// Gives back whatever a stopping worker still holds, and records that it stopped. What had begun and must not
    /// be repeated ends as `outcome_unknown`. Answers how many jobs there were.
    ///
    /// # Errors
    /// Database errors.
    pub async fn release_all(&self, worker: &str) -> Result<usize, QueueError> {
        self.store
            .write(c::ReleaseAll {
                worker: worker.to_owned(),
            })
            .await
    }

    /// Settles the jobs of a worker whose process is known to be dead. Answers how many there were.
    ///
    /// # Errors
    /// Database errors.
    pub async fn lose_worker(&self, worker: &str) -> Result<usize, QueueError> {
        self.store
            .write(c::LoseWorker {
                worker: worker.to_owned(),
            })
            .await
    }

    /// Takes or keeps what one worker at a time does for all, until `lease` from now; false where another worker has it.
    /// A worker that ends, or is known to be dead, leaves it to the others.
    ///
    /// # Errors
    /// Database errors.
    pub async fn take_duty(
        &self,
        name: &'static str,
        worker: &str,
        lease: Duration,
    ) -> Result<bool, QueueError> {
        let take = c::TakeDuty {
            name,
            worker: worker.to_owned(),
            lease,
        };
        let standing = self
            .store
            .read(|connection| take.standing(connection, self.clock.now()))?;
        match standing {
            c::Standing::Ours => Ok(true),
            c::Standing::Others => Ok(false),
            c::Standing::Takeable => self.store.write(take).await,
        }
    }

    /// Removes the rows of workers that have been gone for longer than `after`.
    ///
    /// # Errors
    /// Database errors.
    pub async fn forget_workers(&self, after: Duration) -> Result<usize, QueueError> {
        self.store.write(c::ForgetWorkers { after }).await
    }
}
