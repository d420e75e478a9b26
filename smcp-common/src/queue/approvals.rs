//! Calls that wait for somebody to approve of them.

use serde_json::{Map, Value};

use super::command as c;
use super::{Queue, QueueError};
use crate::approval::{Approver, Digest, Obstacle, Request, Voice};
use crate::clock::Timestamp;
use crate::job::{JobId, StateName};
use crate::policy::Subject;

/// A job that waits for an approval.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRequest {
    /// The job.
    pub job: JobId,
    /// Who asks.
    pub agent: String,
    /// The tool to run.
    pub tool: String,
    /// The plugin that the tool belongs to.
    pub plugin: String,
    /// Exactly what would run.
    pub arguments: Map<String, Value>,
    /// How it was asked for: `call`, `submit`, `schedule` or `workflow`.
    pub source: String,
    /// Since when it waits.
    pub requested_at: Timestamp,
    /// What is asked for.
    pub request: Request,
    /// Who has approved of it.
    pub given: Vec<Approver>,
}

impl Queue {
    /// All open requests, oldest first.
    ///
    /// # Errors
    /// Database errors.
    pub async fn open_requests(&self) -> Result<Vec<OpenRequest>, QueueError> {
        let list = self.store.scan(c::Open::list).await?;
        Ok(list.into_iter().map(|open| open.request).collect())
    }

    /// The open request of a job; `None` where it waits for nobody.
    ///
    /// # Errors
    /// Database errors.
    pub fn open_request(&self, job: &JobId) -> Result<Option<OpenRequest>, QueueError> {
        let found = self
            .store
            .read(|connection| c::Open::find(connection, job))?;
        Ok(found.map(|open| open.request))
    }

    /// Takes somebody's word about a job. `seen` is the digest that it was shown; `changed` is what is to be asked for
    /// instead where what would run is not what the request is for any more.
    ///
    /// Answers where the job stands now, or why the word does not count: that is recorded, too.
    ///
    /// # Errors
    /// Database errors.
    pub async fn vote(
        &self,
        job: &JobId,
        voter: Subject,
        voice: Voice,
        reason: Option<&str>,
        seen: Option<Digest>,
        changed: Option<Request>,
    ) -> Result<Result<StateName, Obstacle>, QueueError> {
        let command = c::Vote {
            job: job.clone(),
            voter,
            voice,
            reason: reason.map(ToOwned::to_owned),
            seen,
            changed,
        };
        self.store.write(command).await
    }

    /// Ends the jobs that nobody has approved of in time; answers when the next request expires. Only reads where none has.
    ///
    /// # Errors
    /// Database errors.
    pub async fn expire_approvals(&self) -> Result<Option<Timestamp>, QueueError> {
        let now = self.clock.now();
        while !self
            .store
            .read(|connection| c::expired(connection, now))?
            .is_empty()
        {
            self.store.write(c::ExpireApprovals).await?;
        }
        self.store.read(|connection| {
            let next: Option<i64> = connection
                .prepare_cached(include_str!("sql/approval_next.sql"))?
                .query_row([], |row| row.get(0))?;
            Ok(next.map(Timestamp::from_millis))
        })
    }
}
