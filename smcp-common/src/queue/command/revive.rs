//! Ended jobs that somebody wants to be run again: new attempts of the same jobs.

use rusqlite::{ErrorCode, OptionalExtension, params};
use serde_json::json;

use super::approval::ask_as_before;
use super::key::of_revoked;
use super::{Command, Tx};
use crate::job::{EventKind, JobId, StateName, revived};
use crate::queue::{Each, Obstacle, QueueError, row};

#[derive(Debug)]
pub(in crate::queue) struct Revive {
    pub(in crate::queue) jobs: Vec<JobId>,
    pub(in crate::queue) by: String,
    /// Jobs in another state are skipped.
    pub(in crate::queue) only: Option<StateName>,
}

/// A job, as far as operators' commands depend on it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) num: i64,
    pub(super) state: StateName,
    pub(super) attempt: u32,
    pub(super) priority: i32,
    pub(super) tool: String,
    pub(super) workflow: Option<String>,
    /// A session knows it as the answer to a request.
    pub(super) is_awaited: bool,
    /// It has needed an approval.
    needs_approval: bool,
}

impl Found {
    /// The job of that id.
    pub(super) fn find(tx: &Tx<'_>, id: &JobId) -> Result<Option<Self>, QueueError> {
        let found = tx
            .connection
            .prepare_cached(include_str!("../sql/operate_find.sql"))?
            .query_row([id.as_str()], |row| {
                let state: String = row.get(1)?;
                let found = Self {
                    num: row.get(0)?,
                    state: StateName::Queued,
                    attempt: row.get(2)?,
                    priority: row.get(3)?,
                    tool: row.get(4)?,
                    workflow: row.get(5)?,
                    is_awaited: row.get(6)?,
                    needs_approval: row.get::<_, u32>(7)? > 0,
                };
                Ok(row::state_name(id.as_str(), &state).map(|state| Self { state, ..found }))
            })
            .optional()?;
        found.transpose()
    }
}

impl Command for Revive {
    type Answer = Each;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Each, QueueError> {
        let each = self
            .jobs
            .iter()
            .map(|job| Ok((job.clone(), self.revive(tx, job)?)));
        each.collect()
    }
}

impl Revive {
    fn revive(&self, tx: &mut Tx<'_>, id: &JobId) -> Result<Result<(), Obstacle>, QueueError> {
        let Some(job) = Found::find(tx, id)? else {
            return Ok(Err(Obstacle::Missing));
        };
        if self.only.is_some_and(|only| only != job.state) {
            return Ok(Err(Obstacle::State(job.state)));
        }
        let Some(state) = revived(job.state, job.attempt, job.needs_approval) else {
            return Ok(Err(Obstacle::State(job.state)));
        };
        if let Some(workflow) = job.workflow {
            return Ok(Err(Obstacle::Workflow(workflow)));
        }
        if of_revoked(tx, job.num)? {
            return Ok(Err(Obstacle::AgentRevoked));
        }
        let (attempt, failures) = (job.attempt, state.failures().unwrap_or_default());
        let asked = state.name() == StateName::AwaitingApproval;
        let waits = if asked {
            ask_as_before(tx, id, job.num, failures, &self.by)
        } else {
            let parameters = params![job.num, failures, tx.now.as_millis()];
            tx.execute(include_str!("../sql/revive_job.sql"), parameters)
                .map(drop)
        };
        match waits {
            // SQLite has undone this statement, and only this one.
            Err(QueueError::Database(error))
                if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) =>
            {
                return Ok(Err(Obstacle::Collision));
            }
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        tx.execute(
            include_str!("../sql/revive_forget_calls.sql"),
            [id.as_str()],
        )?;
        let reason = format!("retry asked by {}", self.by);
        let news = json!({"attempt": attempt, "reason": reason, "run_at": null});
        tx.event(job.num, EventKind::Requeued, &news)?;
        let data = json!({"attempt": attempt, "state": job.state});
        tx.audit("job.retried", &self.by, Some(id.as_str()), &data)?;
        Ok(Ok(()))
    }
}
