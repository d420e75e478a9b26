//! A request to stop a job: a waiting job ends at once, a running one is marked, and its worker stops it.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::approval::close;
use super::hold::request;
use super::workflow::touch;
use super::{Command, Tx};
use crate::job::{Event, EventKind, Failure, JobId, Policy, State, StateName, code, next};
use crate::queue::{QueueError, row};

#[derive(Debug)]
pub(in crate::queue) struct Cancel {
    pub(in crate::queue) job: JobId,
    pub(in crate::queue) by: String,
    pub(in crate::queue) reason: Option<String>,
}

impl Command for Cancel {
    /// Where the job stands now: `running` means that its worker has been told.
    type Answer = StateName;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<StateName, QueueError> {
        let (num, state, policy, workflow) = self.find(tx)?;
        let after = next(state, Event::CancelRequested, policy)?;
        if after == state {
            return Ok(state.name());
        }
        let now = tx.now.as_millis();
        tx.execute(
            include_str!("../sql/cancel_mark.sql"),
            params![num, now, self.by, self.reason],
        )?;
        tx.event(
            num,
            EventKind::CancelRequested,
            &request(&self.by, self.reason.as_deref()),
        )?;
        if after.name() == StateName::Cancelled {
            if matches!(state, State::AwaitingApproval { .. }) {
                close(tx, num)?;
            }
            let failure = Failure::new(code::CANCELLED, "The job was cancelled before it started.");
            tx.execute(
                include_str!("../sql/held_settle.sql"),
                params![
                    num,
                    after.name().as_str(),
                    state.failures(),
                    failure.code,
                    failure.message,
                    now,
                    None::<i64>,
                    None::<bool>
                ],
            )?;
            tx.event(num, EventKind::Finished, &json!({"state": after.name()}))?;
            if let Some(workflow) = &workflow {
                touch(tx, workflow)?;
            }
        }
        let data = json!({"reason": self.reason, "state": after.name()});
        tx.audit(
            "job.cancel_requested",
            &self.by,
            Some(self.job.as_str()),
            &data,
        )?;
        Ok(after.name())
    }
}

impl Cancel {
    /// The job's number, state and policy, and the workflow that it is a part of.
    fn find(&self, tx: &Tx<'_>) -> Result<(i64, State, Policy, Option<String>), QueueError> {
        let found = tx
            .connection
            .prepare_cached(include_str!("../sql/cancel_find.sql"))?
            .query_row([self.job.as_str()], |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, String>(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get::<_, String>(4)?,
                    row.get(5)?,
                    row.get::<_, Option<String>>(6)?,
                    row.get(7)?,
                    row.get(8)?,
                ))
            })
            .optional()?;
        let Some((num, name, attempt, failures, effect, max_attempts, retry, cancelling, workflow)) =
            found
        else {
            return Err(QueueError::NoSuchJob(self.job.clone()));
        };
        let state = row::state(self.job.as_str(), &name, attempt, failures, cancelling)?;
        let retry = row::retry(self.job.as_str(), retry.as_deref())?;
        let policy = row::policy(self.job.as_str(), &effect, max_attempts, retry.as_ref())?;
        Ok((num, state, policy, workflow))
    }
}
