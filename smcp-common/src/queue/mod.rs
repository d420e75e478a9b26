//! The queue: durable jobs with leases, lanes and priorities, their news and output, the catalogue of tools and
//! the audit chain. The only module that speaks SQL.
//!
//! A [`Queue`] is a handle to one database. Everything it does is either a command, which is carried out in a
//! transaction and durable when the call returns, or a query, which never holds a transaction across an await.

mod bell;
mod command;
mod error;
mod row;
mod sqlite;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use tokio::sync::watch;

use self::command as c;
use self::sqlite::Store;
use crate::clock::{SharedClock, Timestamp};
use crate::job::{Claimed, Job, JobEvent, JobId, NewJob, News, Outcome, StateName};
use crate::plugin::Plugin;

pub use self::bell::Wake;
pub use self::error::{OpenError, QueueError};
pub use self::sqlite::{BackupError, Commit, Condition, Durability, Options, backup, check};

/// How long a worker may be silent before its job is taken from it.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often a worker renews the lease of its job.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// A handle to the queue; clones share it.
#[derive(Debug, Clone)]
pub struct Queue {
    store: Arc<Store>,
    clock: SharedClock,
}

/// The answer to [`Queue::submit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The job.
    pub id: JobId,
    /// True where the idempotency key had been used for it before.
    pub existing: bool,
}

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
    /// The plugin printed more than is kept.
    pub output_truncated: bool,
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

/// Which jobs to list; `None` admits all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In that state.
    pub state: Option<StateName>,
    /// Of that tool.
    pub tool: Option<String>,
    /// In that lane.
    pub lane: Option<String>,
    /// Of that agent.
    pub agent: Option<String>,
    /// At most so many, newest first.
    pub limit: u32,
}

/// How full the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Jobs that could run now.
    pub queued: u64,
    /// Jobs whose time has not come.
    pub scheduled: u64,
    /// Jobs that are running.
    pub running: u64,
    /// Since when the longest-waiting job could have run.
    pub oldest_due: Option<Timestamp>,
}

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

/// The catalogue of tools as last scanned.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// Grows with every change.
    pub version: i64,
    /// The newest scan that was asked for.
    pub wanted: i64,
    /// The newest scan that was done.
    pub scanned: i64,
    /// When that was.
    pub scanned_at: Option<Timestamp>,
    /// What was wrong with the directories themselves.
    pub problems: Vec<String>,
    /// The plugins, by name.
    pub plugins: Vec<Plugin>,
}

impl Queue {
    /// Opens the database, creating it if need be.
    ///
    /// Must be called inside a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// [`OpenError`], which names the file and says what can be done.
    pub fn open(options: &Options, clock: SharedClock) -> Result<Self, OpenError> {
        Ok(Self {
            store: Arc::new(Store::open(options, Arc::clone(&clock))?),
            clock,
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// The clock that the queue goes by.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// A counter that grows when there may be news, by this process or another.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.store.news()
    }

    /// ③ Records a job, or finds the one that its idempotency key already names.
    ///
    /// # Errors
    /// [`QueueError::IdempotencyConflict`] where the key names another deed; database errors.
    pub async fn submit(&self, job: NewJob) -> Result<Submitted, QueueError> {
        self.store.write(c::Submit(job)).await
    }

    /// ② Records that a call was not allowed, and why.
    ///
    /// # Errors
    /// Database errors.
    pub async fn record_denial(
        &self,
        agent: &str,
        tool: &str,
        code: &str,
    ) -> Result<(), QueueError> {
        let (agent, tool, code) = (agent.to_owned(), tool.to_owned(), code.to_owned());
        self.store.write(c::Deny { agent, tool, code }).await
    }

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

    /// Asks for a job to be stopped. A waiting job ends at once; of a running one its worker is told, and
    /// [`StateName::Running`] is the answer. To ask again, or of an ended job, changes nothing.
    ///
    /// # Errors
    /// [`QueueError::NoSuchJob`]; database errors.
    pub async fn cancel(
        &self,
        job: &JobId,
        by: &str,
        reason: Option<&str>,
    ) -> Result<StateName, QueueError> {
        let command = c::Cancel {
            job: job.clone(),
            by: by.to_owned(),
            reason: reason.map(ToOwned::to_owned),
        };
        self.store.write(command).await
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

    /// A job with its attempts.
    ///
    /// # Errors
    /// Database errors.
    pub fn job(&self, id: &JobId) -> Result<Option<Job>, QueueError> {
        self.store.read(|connection| {
            let found = connection
                .prepare_cached(include_str!("sql/job_get.sql"))?
                .query_row([id.as_str()], |row| Ok(row::job(row)))
                .optional()?
                .transpose()?;
            let Some((num, mut job)) = found else {
                return Ok(None);
            };
            let mut statement = connection.prepare_cached(include_str!("sql/job_attempts.sql"))?;
            job.attempts = statement
                .query_map([num], row::attempt)?
                .collect::<Result<_, _>>()?;
            Ok(Some(job))
        })
    }

    /// Jobs, newest first, without their attempts.
    ///
    /// # Errors
    /// Database errors.
    pub async fn jobs(&self, filter: Filter) -> Result<Vec<Job>, QueueError> {
        let query = move |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/job_list.sql"))?;
            let Filter {
                state,
                tool,
                lane,
                agent,
                limit,
            } = filter;
            let rows = statement.query_map(
                params![state.map(StateName::as_str), tool, lane, agent, limit],
                |row| Ok(row::job(row)),
            )?;
            rows.map(|row| Ok(row??.1)).collect()
        };
        self.store.scan(query).await
    }

    /// The news of a job after number `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// Database errors.
    pub fn events(&self, job: &JobId, after: i64, limit: u32) -> Result<Vec<JobEvent>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/events_of_job.sql"))?;
            let rows = statement.query_map(params![job.as_str(), after, limit], |row| {
                Ok(row::event(job, row))
            })?;
            rows.map(|row| row?).collect()
        })
    }

    /// Which jobs have news after number `after`, with the numbers; at most 1,000.
    ///
    /// # Errors
    /// Database errors.
    pub fn tail(&self, after: i64) -> Result<Vec<(i64, JobId)>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/events_tail.sql"))?;
            let rows =
                statement.query_map([after], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
            rows.map(|row| {
                let (seq, id) = row?;
                Ok((seq, row::job_id(&id)?))
            })
            .collect()
        })
    }

    /// The number of the newest event.
    ///
    /// # Errors
    /// Database errors.
    pub fn last_event(&self) -> Result<i64, QueueError> {
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/events_last.sql"))?
                .query_row([], |row| row.get(0))?)
        })
    }

    /// Standard output of the job's last attempt from byte `offset`, at most `limit` bytes.
    ///
    /// # Errors
    /// Database errors.
    pub async fn output(
        &self,
        job: &JobId,
        offset: u64,
        limit: usize,
    ) -> Result<Vec<u8>, QueueError> {
        let job = job.clone();
        let query = move |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/output_read.sql"))?;
            let mut rows = statement.query(params![job.as_str(), offset])?;
            let mut output = Vec::new();
            while let Some(row) = rows.next()? {
                let (start, chunk) = (row.get::<_, u64>(0)?, row.get_ref(1)?);
                let chunk = chunk
                    .as_blob()
                    .map_err(|error| row::corrupt("outputs", job.as_str(), &error.to_string()))?;
                let skip = usize::try_from(offset.saturating_sub(start))
                    .unwrap_or(usize::MAX)
                    .min(chunk.len());
                let room = limit - output.len();
                output.extend(chunk[skip..].iter().take(room));
                if output.len() == limit {
                    break;
                }
            }
            Ok(output)
        };
        self.store.scan(query).await
    }

    /// How full the queue is.
    ///
    /// # Errors
    /// Database errors.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        let query = |connection: &rusqlite::Connection| {
            let counts = connection
                .prepare_cached(include_str!("sql/job_counts.sql"))?
                .query_row([], |row| {
                    let oldest_due = row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis);
                    Ok(Depth {
                        queued: row.get(0)?,
                        scheduled: row.get(1)?,
                        running: row.get(2)?,
                        oldest_due,
                    })
                })?;
            Ok(counts)
        };
        self.store.scan(query).await
    }

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

    /// Settles the jobs whose leases have run out. Answers how many there were.
    ///
    /// # Errors
    /// Database errors.
    pub async fn lose_expired(&self) -> Result<usize, QueueError> {
        self.store.write(c::LoseExpired).await
    }

    /// Removes the rows of workers that have been gone for longer than `after`.
    ///
    /// # Errors
    /// Database errors.
    pub async fn forget_workers(&self, after: Duration) -> Result<usize, QueueError> {
        self.store.write(c::ForgetWorkers { after }).await
    }

    /// The version of the catalogue of tools, to know whether it has to be read again.
    ///
    /// # Errors
    /// Database errors.
    pub fn catalogue_version(&self) -> Result<i64, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            Ok(statement.query_row([], |row| row.get(2))?)
        })
    }

    /// The catalogue of tools.
    ///
    /// # Errors
    /// Database errors.
    pub fn catalogue(&self) -> Result<Catalogue, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            let (mut catalogue, problems) = statement.query_row([], |row| {
                let catalogue = Catalogue {
                    wanted: row.get(0)?,
                    scanned: row.get(1)?,
                    version: row.get(2)?,
                    scanned_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
                    problems: Vec::new(),
                    plugins: Vec::new(),
                };
                Ok((catalogue, row.get::<_, String>(4)?))
            })?;
            let unreadable = |row: &str, error: &serde_json::Error| {
                row::corrupt("catalogue", row, &error.to_string())
            };
            catalogue.problems =
                serde_json::from_str(&problems).map_err(|error| unreadable("problems", &error))?;
            for (name, text) in row::plugin_texts(connection)? {
                catalogue
                    .plugins
                    .push(serde_json::from_str(&text).map_err(|error| unreadable(&name, &error))?);
            }
            Ok(catalogue)
        })
    }

    /// Asks the workers to look at the plugin directories again; answers the number of the scan, which is done when
    /// [`Catalogue::scanned`] has reached it. `by` is who asks.
    ///
    /// # Errors
    /// Database errors.
    pub async fn want_scan(&self, by: &str) -> Result<i64, QueueError> {
        self.store
            .write(c::CatalogueWant { by: by.to_owned() })
            .await
    }

    /// Takes on the scan that is wanted, if one is and no other worker is at it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn take_scan(&self, worker: &str) -> Result<Option<i64>, QueueError> {
        self.store
            .write(c::CatalogueTake {
                worker: worker.to_owned(),
            })
            .await
    }

    /// Stores what scan number `wanted` found; answers whether anything differs from before.
    ///
    /// # Errors
    /// Database errors.
    pub async fn finish_scan(
        &self,
        worker: &str,
        wanted: i64,
        plugins: Vec<Plugin>,
        problems: Vec<String>,
    ) -> Result<bool, QueueError> {
        self.store
            .write(c::CatalogueDone {
                worker: worker.to_owned(),
                wanted,
                plugins,
                problems,
            })
            .await
    }

    /// The tools that an agent keeps attached; `None` where it never chose.
    ///
    /// # Errors
    /// Database errors.
    pub fn attachments(&self, agent: &str) -> Result<Option<BTreeSet<String>>, QueueError> {
        self.store.read(|connection| {
            let text: Option<String> = connection
                .prepare_cached(include_str!("sql/attachments_get.sql"))?
                .query_row([agent], |row| row.get(0))
                .optional()?;
            text.map(|text| {
                serde_json::from_str(&text)
                    .map_err(|error| row::corrupt("attachments", agent, &error.to_string()))
            })
            .transpose()
        })
    }

    /// Chooses the tools that an agent keeps attached.
    ///
    /// # Errors
    /// Database errors.
    pub async fn attach(&self, agent: &str, tools: BTreeSet<String>) -> Result<(), QueueError> {
        self.store
            .write(c::SetAttachments {
                agent: agent.to_owned(),
                tools,
            })
            .await
    }
}

#[cfg(test)]
mod tests;
