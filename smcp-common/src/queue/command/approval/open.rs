//! An open request as it is stored: read with who has approved of it, and ended.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::{ask, close, settle};
use crate::approval::{Approver, Request};
use crate::canonical;
use crate::clock::Timestamp;
use crate::job::{Event, EventKind, Failure, JobId, Policy, State, StateName, next};
use crate::policy::Approval;
use crate::queue::command::Tx;
use crate::queue::command::workflow::touch;
use crate::queue::{OpenRequest, QueueError, row};

/// An open request, with what its end depends on.
#[derive(Debug)]
pub(in crate::queue) struct Open {
    pub(super) num: i64,
    pub(super) round: u32,
    state: State,
    policy: Policy,
    workflow: Option<String>,
    pub(in crate::queue) request: OpenRequest,
}

impl Open {
    /// The open request of a job.
    pub(in crate::queue) fn find(
        connection: &Connection,
        job: &JobId,
    ) -> Result<Option<Self>, QueueError> {
        let found = connection
            .prepare_cached(include_str!("../../sql/approval_open.sql"))?
            .query_row([job.as_str()], |row| Ok(Self::read(row)))
            .optional()?
            .transpose()?;
        found.map(|open| open.with_votes(connection)).transpose()
    }

    /// All open requests, oldest first.
    pub(in crate::queue) fn list(connection: &Connection) -> Result<Vec<Self>, QueueError> {
        let mut statement =
            connection.prepare_cached(include_str!("../../sql/approval_list.sql"))?;
        let rows = statement.query_map([], |row| Ok(Self::read(row)))?;
        let found: Vec<Self> = rows
            .map(|row| row.map_err(QueueError::from).and_then(|read| read))
            .collect::<Result<_, _>>()?;
        found
            .into_iter()
            .map(|open| open.with_votes(connection))
            .collect()
    }

    fn read(row: &Row<'_>) -> Result<Self, QueueError> {
        let id = row::job_id(&row.get::<_, String>(1)?)?;
        let (attempt, failures) = (row.get(6)?, row.get(7)?);
        let effect: String = row.get(8)?;
        let retry = row::retry(id.as_str(), row.get::<_, Option<String>>(10)?.as_deref())?;
        let names = |column| row::names("approvals", id.as_str(), &row.get::<_, String>(column)?);
        Ok(Self {
            num: row.get(0)?,
            round: row.get(13)?,
            state: State::AwaitingApproval { attempt, failures },
            policy: row::policy(id.as_str(), &effect, row.get(9)?, retry.as_ref())?,
            workflow: row.get(11)?,
            request: OpenRequest {
                agent: row.get(2)?,
                tool: row.get(3)?,
                plugin: row.get(4)?,
                arguments: row::object("jobs", id.as_str(), &row.get::<_, String>(5)?)?,
                source: row.get(12)?,
                requested_at: Timestamp::from_millis(row.get(18)?),
                request: Request {
                    digest: row.get(14)?,
                    of: Approval {
                        groups: names(15)?,
                        approvals: row.get(17)?,
                    },
                    rules: names(16)?,
                    expires_at: Timestamp::from_millis(row.get(19)?),
                },
                given: Vec::new(),
                job: id,
            },
        })
    }

    fn with_votes(mut self, connection: &Connection) -> Result<Self, QueueError> {
        let mut statement =
            connection.prepare_cached(include_str!("../../sql/approval_votes.sql"))?;
        let mut rows = statement.query(params![self.num, self.round])?;
        while let Some(row) = rows.next()? {
            let groups: String = row.get(1)?;
            let groups = row::names("approval_votes", self.request.job.as_str(), &groups)?;
            self.request.given.push(Approver {
                agent: row.get(0)?,
                groups: groups.into_iter().collect(),
                at: Timestamp::from_millis(row.get(2)?),
            });
        }
        Ok(self)
    }

    /// Lets the job queue: everybody whose approval it needs has given it. Answers where it stands then.
    pub(super) fn grant(
        &self,
        tx: &mut Tx<'_>,
        given: &[Approver],
    ) -> Result<StateName, QueueError> {
        let after = next(self.state, Event::Approved, self.policy)?;
        let (id, digest) = (self.request.job.as_str(), &self.request.request.digest);
        let now = tx.now.as_millis();
        tx.execute(
            include_str!("../../sql/approval_grant.sql"),
            params![self.num, digest, now],
        )?;
        settle(tx, self.num, "approved")?;
        let by: Vec<_> = given.iter().map(|approver| &approver.agent).collect();
        let data = json!({"by": by, "digest": canonical::hex(digest)});
        tx.audit("job.approved", "queue", Some(id), &data)?;
        // Workers learn of it by the news of the vote.
        Ok(after.name())
    }

    /// Ends the job, of which nobody approves. Answers where it stands then.
    pub(super) fn end(
        &self,
        tx: &mut Tx<'_>,
        event: Event,
        failure: &Failure,
    ) -> Result<StateName, QueueError> {
        let after = next(self.state, event, self.policy)?.name();
        tx.execute(
            include_str!("../../sql/held_settle.sql"),
            params![
                self.num,
                after.as_str(),
                self.state.failures(),
                failure.code,
                failure.message,
                tx.now.as_millis(),
                None::<i64>,
                None::<bool>
            ],
        )?;
        settle(tx, self.num, after.as_str())?;
        tx.event(self.num, EventKind::Finished, &json!({"state": after}))?;
        if let Some(workflow) = &self.workflow {
            touch(tx, workflow)?;
        }
        let data = json!({"code": failure.code, "state": after});
        tx.audit(
            "job.not_approved",
            "queue",
            Some(self.request.job.as_str()),
            &data,
        )?;
        Ok(after)
    }

    /// Asks anew, as what it is for has changed.
    pub(super) fn ask_again(
        &self,
        tx: &mut Tx<'_>,
        changed: &Request,
        by: &str,
    ) -> Result<(), QueueError> {
        close(tx, self.num)?;
        let failures = self.state.failures().unwrap_or_default();
        ask(tx, &self.request.job, self.num, failures, changed, by)
    }
}
