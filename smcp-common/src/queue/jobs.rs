//! What callers do: submit jobs, stop them, and look at what became of them.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde_json::{Map, Value};

use super::command as c;
use super::{Queue, QueueError, SessionCall, row};
use crate::clock::Timestamp;
use crate::job::{Entrance, Failure, Job, JobEvent, JobId, NewJob, StateName};
use crate::policy::Via;

/// News of a job are read in pages of about so many bytes: each may have 64 KiB, and many readers hold a page.
pub const EVENTS_BYTES: usize = 128 * 1024;

/// The answer to [`Queue::submit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The job.
    pub id: JobId,
    /// True where the idempotency key had been used for it before.
    pub existing: bool,
}

/// A call about which was decided, for the audit record.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Who called.
    pub agent: String,
    /// The tool.
    pub tool: String,
    /// The rules that decided, sorted; none where it was denied as none permits it.
    pub rules: Vec<String>,
    /// The hash of the rules that were asked; `None` where the decision is not theirs.
    pub policy: Option<String>,
    /// By which way the call came to be.
    pub via: Via,
    /// How the caller came in; `None` where nobody is connected.
    pub entrance: Option<Entrance>,
    /// What would have run.
    pub arguments: Map<String, Value>,
    /// The names of arguments whose values are shown in no record.
    pub secret: Vec<String>,
}

/// A call that was not allowed, as it is recorded.
#[derive(Debug, Clone)]
pub struct Denial {
    /// What was asked for.
    pub call: Decided,
    /// Why it was denied.
    pub code: &'static str,
}

/// Why a call whose time has come becomes no job.
#[derive(Debug)]
pub struct NoJob {
    /// What whoever asks is told.
    pub failure: Failure,
    /// What is recorded in the same transaction, where the call was not allowed.
    pub denial: Option<Box<Denial>>,
}

impl From<Failure> for NoJob {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            denial: None,
        }
    }
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

impl Queue {
    /// ③ Records a job, or finds the one that its idempotency key already names.
    ///
    /// # Errors
    /// [`QueueError::IdempotencyConflict`] where the key names another deed; [`QueueError::LimitExceeded`], whose denial has been
    /// recorded then; database errors.
    pub async fn submit(&self, job: NewJob) -> Result<Submitted, QueueError> {
        Ok(self.store.write(c::Submit { job, call: None }).await??)
    }

    /// The same for a request in a session, which finds the job again by [`Queue::became`].
    ///
    /// # Errors
    /// As [`Queue::submit`].
    pub async fn submit_for(
        &self,
        job: NewJob,
        call: SessionCall,
    ) -> Result<Submitted, QueueError> {
        let call = Some(call);
        Ok(self.store.write(c::Submit { job, call }).await??)
    }

    /// ② Records that a call was not allowed, and why.
    ///
    /// # Errors
    /// Database errors.
    pub async fn record_denial(&self, call: Decided, code: &str) -> Result<(), QueueError> {
        let code = Some(code.to_owned());
        self.store.write(c::Decide { call, code }).await
    }

    /// ② Records that a call of a built-in tool was allowed, before it is carried out.
    ///
    /// # Errors
    /// Database errors.
    pub async fn record_allowance(&self, call: Decided) -> Result<(), QueueError> {
        self.store.write(c::Decide { call, code: None }).await
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
            let attempts = statement.query_map([num], |row| Ok(row::attempt(id, row)))?;
            job.attempts = attempts
                .map(|attempt| attempt.map_err(QueueError::from).and_then(|read| read))
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

    /// The news of a job after number `after`, oldest first, at most `limit`, and so many that they have little more than
    /// [`EVENTS_BYTES`] together; at least one, where there are any.
    ///
    /// # Errors
    /// Database errors.
    pub fn events(&self, job: &JobId, after: i64, limit: u32) -> Result<Vec<JobEvent>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/events_of_job.sql"))?;
            let mut rows = statement.query(params![job.as_str(), after, limit])?;
            let (mut events, mut bytes) = (Vec::new(), 0);
            while bytes < EVENTS_BYTES
                && let Some(row) = rows.next()?
            {
                let data = row.get_ref(3)?.as_bytes();
                bytes += data.map_or(0, <[u8]>::len);
                events.push(row::event(job, row)?);
            }
            Ok(events)
        })
    }

    /// The newest news of a job.
    ///
    /// # Errors
    /// Database errors.
    pub fn newest_event(&self, job: &JobId) -> Result<Option<JobEvent>, QueueError> {
        self.store.read(|connection| {
            connection
                .prepare_cached(include_str!("sql/event_newest.sql"))?
                .query_row([job.as_str()], |row| Ok(row::event(job, row)))
                .optional()?
                .transpose()
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
}
