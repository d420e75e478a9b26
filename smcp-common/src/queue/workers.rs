//! Workers as such: who is there, and what becomes of the jobs of those who are not.

use std::time::Duration;

use serde::Serialize;

use super::command as c;
use super::{Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::JobId;

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
    /// When it started.
    pub started_at: Timestamp,
    /// Its last sign of life.
    pub last_seen: Timestamp,
    /// The job it runs.
    pub job: Option<JobId>,
}

impl Queue {
    /// Announces a worker.
    ///
    /// # Errors
    /// Database errors.
    pub async fn register_worker(
        &self,
        id: &str,
        host: &str,
        version: &str,
    ) -> Result<(), QueueError> {
        let (id, host, version) = (id.to_owned(), host.to_owned(), version.to_owned());
        self.store
            .write(c::RegisterWorker {
                id,
                host,
                pid: std::process::id(),
                version,
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

    /// Workers that have not stopped.
    ///
    /// # Errors
    /// Database errors.
    pub fn workers(&self) -> Result<Vec<WorkerInfo>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/worker_list.sql"))?;
            let rows = statement.query_map([], |row| {
                let job: Option<String> = row.get(6)?;
                let info = WorkerInfo {
                    id: row.get(0)?,
                    host: row.get(1)?,
                    pid: row.get(2)?,
                    version: row.get(3)?,
                    started_at: Timestamp::from_millis(row.get(4)?),
                    last_seen: Timestamp::from_millis(row.get(5)?),
                    job: None,
                };
                Ok((info, job))
            })?;
            rows.map(|row| {
                let (info, job) = row?;
                Ok(WorkerInfo {
                    job: job.map(|id| row::job_id(&id)).transpose()?,
                    ..info
                })
            })
            .collect()
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
