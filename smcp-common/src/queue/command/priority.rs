//! Another place in the line for jobs that wait.

use rusqlite::params;
use serde_json::json;

use super::revive::Found;
use super::{Command, Tx};
use crate::job::{JobId, StateName};
use crate::queue::{Each, Obstacle, QueueError};

#[derive(Debug)]
pub(in crate::queue) struct Prioritise {
    pub(in crate::queue) jobs: Vec<JobId>,
    pub(in crate::queue) priority: i32,
    pub(in crate::queue) by: String,
}

impl Command for Prioritise {
    type Answer = Each;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Each, QueueError> {
        let each = self
            .jobs
            .iter()
            .map(|job| Ok((job.clone(), self.set(tx, job)?)));
        each.collect()
    }
}

impl Prioritise {
    fn set(&self, tx: &mut Tx<'_>, id: &JobId) -> Result<Result<(), Obstacle>, QueueError> {
        let Some(job) = Found::find(tx, id)? else {
            return Ok(Err(Obstacle::Missing));
        };
        if job.state != StateName::Queued {
            return Ok(Err(Obstacle::State(job.state)));
        }
        if job.priority == self.priority {
            return Ok(Ok(()));
        }
        tx.execute(
            include_str!("../sql/priority_set.sql"),
            params![job.num, self.priority],
        )?;
        let data = json!({"from": job.priority, "to": self.priority});
        tx.audit("job.reprioritised", &self.by, Some(id.as_str()), &data)?;
        Ok(Ok(()))
    }
}
