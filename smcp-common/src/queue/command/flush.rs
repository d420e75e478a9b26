//! Jobs that an operator wants to be rid of: queued ones are cancelled, ended ones are deleted.

use serde_json::json;

use super::revive::Found;
use super::{Cancel, Command, Tx};
use crate::job::{JobId, StateName};
use crate::queue::{Each, Obstacle, QueueError};

#[derive(Debug)]
pub(in crate::queue) struct Flush {
    pub(in crate::queue) jobs: Vec<JobId>,
    /// Jobs that have left it meanwhile are skipped.
    pub(in crate::queue) state: StateName,
    pub(in crate::queue) by: String,
    pub(in crate::queue) reason: Option<String>,
}

impl Command for Flush {
    type Answer = Each;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Each, QueueError> {
        let each = self
            .jobs
            .iter()
            .map(|job| Ok((job.clone(), self.flush(tx, job)?)));
        each.collect()
    }
}

impl Flush {
    fn flush(&self, tx: &mut Tx<'_>, id: &JobId) -> Result<Result<(), Obstacle>, QueueError> {
        let Some(job) = Found::find(tx, id)? else {
            return Ok(Err(Obstacle::Missing));
        };
        if job.state != self.state {
            return Ok(Err(Obstacle::State(job.state)));
        }
        match job.state {
            StateName::Running => Ok(Err(Obstacle::State(job.state))),
            StateName::AwaitingApproval | StateName::Queued => {
                let cancel = Cancel {
                    job: id.clone(),
                    by: self.by.clone(),
                    reason: self.reason.clone(),
                };
                cancel.apply(tx)?;
                Ok(Ok(()))
            }
            StateName::Succeeded
            | StateName::Failed
            | StateName::Cancelled
            | StateName::OutcomeUnknown
            | StateName::Denied
            | StateName::Expired => self.delete(tx, id, job),
        }
    }

    fn delete(
        &self,
        tx: &mut Tx<'_>,
        id: &JobId,
        job: Found,
    ) -> Result<Result<(), Obstacle>, QueueError> {
        if let Some(workflow) = job.workflow {
            return Ok(Err(Obstacle::Workflow(workflow)));
        }
        if job.is_awaited {
            return Ok(Err(Obstacle::Awaited));
        }
        tx.execute(include_str!("../sql/flush_delete.sql"), [job.num])?;
        let data = json!({"reason": self.reason, "state": job.state, "tool": job.tool});
        tx.audit("job.deleted", &self.by, Some(id.as_str()), &data)?;
        Ok(Ok(()))
    }
}
