//! What operators do to many jobs at once: look for them, run them again, flush them, reorder them. Each job by itself: one
//! that stands in the way is skipped and told, and no transaction has more than [`BATCH`] of them, so that no claim waits.

use rusqlite::{Connection, params};

use super::command as c;
use super::{Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::{JobId, StateName};

/// Jobs that are changed in one transaction.
pub const BATCH: usize = 100;

/// Which jobs are meant; `None` admits all.
#[derive(Debug, Clone)]
pub struct Selection {
    /// In that state.
    pub state: StateName,
    /// Of tools whose names match, with `*` for any text and `?` for any character.
    pub tool: Option<String>,
    /// In that lane.
    pub lane: Option<String>,
    /// Of tools of that plugin.
    pub plugin: Option<String>,
    /// That failed with that code.
    pub error_code: Option<String>,
    /// That ended, or were recorded where they have not ended, before that instant.
    pub before: Option<Timestamp>,
    /// That ended, or were recorded where they have not ended, at that instant or later.
    pub since: Option<Timestamp>,
    /// At most so many, oldest first.
    pub limit: u32,
}

/// A job that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its id.
    pub id: JobId,
    /// Its tool.
    pub tool: String,
    /// Whose it is.
    pub agent: String,
}

/// What became of each job.
pub type Each = Vec<(JobId, Result<(), Obstacle>)>;

/// Why nothing was done to a job: a part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// There is no such job.
    #[error("there is no such job")]
    Missing,
    /// It is in a state in which that cannot be done.
    #[error("{}", standing(*.0))]
    State(StateName),
    /// It is one step of many, which its workflow decides about.
    #[error("it is a part of workflow {0}, which decides about its steps")]
    Workflow(String),
    /// Another job stands against it of which there may be one only.
    #[error("it collides with another job of which there may be one only")]
    Collision,
    /// It belongs to an agent that was revoked.
    #[error("its agent was revoked")]
    AgentRevoked,
    /// The answer to a call of a session that is still known.
    #[error("its caller's session may still come back for the answer")]
    Awaited,
}

impl Obstacle {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "no_such_job",
            Self::State(_) => "wrong_state",
            Self::Workflow(_) => "part_of_workflow",
            Self::Collision => "collision",
            Self::AgentRevoked => "agent_revoked",
            Self::Awaited => "awaited",
        }
    }
}

impl Queue {
    /// The jobs that are meant, oldest first.
    ///
    /// # Errors
    /// Database errors.
    pub async fn select(&self, selection: Selection) -> Result<Vec<Match>, QueueError> {
        self.store
            .scan(move |connection| select(connection, selection))
            .await
    }

    /// Queues jobs again that have ended without success, as new attempts; the count of their failures begins anew.
    /// With `only`, those alone that are in that state.
    ///
    /// # Errors
    /// Database errors. What came before them is done.
    pub async fn revive(
        &self,
        jobs: &[JobId],
        by: &str,
        only: Option<StateName>,
    ) -> Result<Each, QueueError> {
        let mut done = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(BATCH) {
            let (jobs, by) = (jobs.to_vec(), by.to_owned());
            done.extend(self.store.write(c::Revive { jobs, by, only }).await?);
        }
        Ok(done)
    }

    /// Cancels queued jobs, or deletes ended ones with all that is kept of them, as far as they are still in `state`.
    ///
    /// # Errors
    /// Database errors. What came before them is done.
    pub async fn flush(
        &self,
        jobs: &[JobId],
        state: StateName,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Each, QueueError> {
        let mut done = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(BATCH) {
            let flush = c::Flush {
                jobs: jobs.to_vec(),
                state,
                by: by.to_owned(),
                reason: reason.map(ToOwned::to_owned),
            };
            done.extend(self.store.write(flush).await?);
        }
        Ok(done)
    }

    /// Gives queued jobs another priority, −100 to 100.
    ///
    /// # Errors
    /// Database errors. What came before them is done.
    pub async fn prioritise(
        &self,
        jobs: &[JobId],
        priority: i32,
        by: &str,
    ) -> Result<Each, QueueError> {
        let mut done = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(BATCH) {
            let prioritise = c::Prioritise {
                jobs: jobs.to_vec(),
                priority,
                by: by.to_owned(),
            };
            done.extend(self.store.write(prioritise).await?);
        }
        Ok(done)
    }
}

/// Where a job stands, in words.
const fn standing(state: StateName) -> &'static str {
    match state {
        StateName::AwaitingApproval => "it waits for an approval",
        StateName::Queued => "it is queued",
        StateName::Running => "it is running",
        StateName::Succeeded => "it has succeeded",
        StateName::Failed => "it has failed",
        StateName::Cancelled => "it was cancelled",
        StateName::OutcomeUnknown => "its outcome is unknown",
        StateName::Denied => "it was not approved of",
        StateName::Expired => "nobody approved of it in time",
    }
}

fn select(connection: &Connection, selection: Selection) -> Result<Vec<Match>, QueueError> {
    let Selection {
        state,
        tool,
        lane,
        plugin,
        error_code,
        before,
        since,
        limit,
    } = selection;
    let mut statement = connection.prepare_cached(include_str!("sql/select_jobs.sql"))?;
    let mut rows = statement.query(params![
        state.as_str(),
        tool.as_deref().map(glob),
        lane,
        plugin,
        error_code,
        before.map(Timestamp::as_millis),
        since.map(Timestamp::as_millis),
        limit
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Match {
            id: row::job_id(&row.get::<_, String>(1)?)?,
            tool: row.get(2)?,
            agent: row.get(3)?,
        });
    }
    Ok(found)
}

/// The pattern as SQLite has it, to which brackets mean more than `*` and `?`.
fn glob(pattern: &str) -> String {
    pattern.replace('[', "[[]")
}
