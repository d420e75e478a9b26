//! Calls that wait for somebody to approve of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::command as c;
use super::{Queue, QueueError};
use crate::approval::{Approver, Digest, Obstacle, Request, Voice, admit};
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

impl OpenRequest {
    /// Whether that word of `voter` counts; answers the groups that it speaks for. `seen` is the digest that it was shown,
    /// where it says so.
    ///
    /// # Errors
    /// [`Obstacle`].
    pub fn admit(
        &self,
        voice: Voice,
        voter: &Subject,
        seen: Option<&Digest>,
        now: Timestamp,
    ) -> Result<BTreeSet<String>, Obstacle> {
        let given: &[Approver] = match voice {
            Voice::Approve => &self.given,
            // Whoever has approved of it may think better of it.
            Voice::Deny => &[],
        };
        admit(&self.request, &self.agent, given, voter, seen, now)
    }
}

/// Somebody's word about a job that waits for it.
#[derive(Debug, Clone)]
pub struct Vote {
    /// The job.
    pub job: JobId,
    /// The agent that speaks; its groups are those that it is in when its word is taken.
    pub voter: String,
    /// What it says.
    pub voice: Voice,
    /// Why, in its words.
    pub reason: Option<String>,
    /// The digest of what it was shown, where it says so.
    pub seen: Option<Digest>,
    /// When it was shown that, where the word is for no request but the one that waited then.
    pub seen_at: Option<Timestamp>,
    /// What is to be asked for instead, where what would run is not what the request is for any more.
    pub changed: Option<Request>,
    /// By which way the word came, for the record.
    pub via: &'static str,
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

    /// Takes somebody's word about a job. Answers where the job stands now, or why the word does not count: that is recorded, too.
    ///
    /// # Errors
    /// Database errors.
    pub async fn vote(&self, vote: Vote) -> Result<Result<StateName, Obstacle>, QueueError> {
        self.store.write(vote).await
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
