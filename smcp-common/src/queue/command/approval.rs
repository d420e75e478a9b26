//! Approvals: asked for with the job, given or refused by those who may, and gone when nobody has answered in time.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::json;

use super::workflow::touch;
use super::{Command, Tx, json};
use crate::approval::{Approver, Obstacle, Request, Voice, admit, suffices};
use crate::canonical;
use crate::clock::Timestamp;
use crate::job::{Event, EventKind, Failure, JobId, Policy, State, StateName, code, next};
use crate::policy::Approval;
use crate::queue::{OpenRequest, QueueError, Vote, row};

impl Command for Vote {
    /// Where the job stands now, or why the word does not count, which is recorded as well.
    type Answer = Result<StateName, Obstacle>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, QueueError> {
        let Some(open) = Open::find(tx.connection, &self.job)? else {
            let obstacle = Obstacle::NotPending(self.job.to_string());
            return self.refused(tx, obstacle);
        };
        let seen = self.seen.as_ref();
        let request = &open.request.request;
        let given = &open.request.given;
        let admitted = admit(
            request,
            &open.request.agent,
            given,
            &self.voter,
            seen,
            tx.now,
        );
        let groups = match admitted {
            Ok(groups) => groups,
            Err(obstacle) => return self.refused(tx, obstacle),
        };
        if let Some(changed) = &self.changed {
            open.ask_again(tx, changed, &self.voter.agent)?;
            return self.refused(tx, Obstacle::Changed);
        }
        let approver = Approver {
            agent: self.voter.agent.clone(),
            groups,
            at: tx.now,
        };
        self.record(tx, &open, &approver)?;
        let mut given = given.clone();
        given.push(approver);
        match self.voice {
            Voice::Approve if suffices(&request.of, &given) => open.grant(tx, &given)?,
            Voice::Approve => return Ok(Ok(StateName::AwaitingApproval)),
            Voice::Deny => open.end(
                tx,
                Event::Denied,
                &denied(&self.voter.agent, self.reason.as_deref()),
            )?,
        }
        .map_or(Ok(Ok(StateName::AwaitingApproval)), |state| Ok(Ok(state)))
    }
}

impl Vote {
    fn refused(
        &self,
        tx: &mut Tx<'_>,
        obstacle: Obstacle,
    ) -> Result<Result<StateName, Obstacle>, QueueError> {
        let data = json!({"code": obstacle.code(), "via": self.via, "voice": self.voice});
        tx.audit(
            "approval.refused",
            &self.voter.agent,
            Some(self.job.as_str()),
            &data,
        )?;
        Ok(Err(obstacle))
    }

    fn record(&self, tx: &mut Tx<'_>, open: &Open, approver: &Approver) -> Result<(), QueueError> {
        let groups = json("approval_votes", self.job.as_str(), &approver.groups)?;
        tx.execute(
            include_str!("../sql/approval_vote.sql"),
            params![
                open.num,
                open.round,
                approver.agent,
                self.voice.as_str(),
                groups,
                self.reason,
                tx.now.as_millis()
            ],
        )?;
        let of = &open.request.request.of;
        let given = open.request.given.len() + usize::from(self.voice == Voice::Approve);
        let news = json!({
            "by": approver.agent, "voice": self.voice, "reason": self.reason, "given": given, "approvals": of.approvals,
        });
        tx.event(open.num, EventKind::ApprovalVoted, &news)?;
        let data = json!({
            "digest": canonical::hex(&open.request.request.digest), "groups": approver.groups, "reason": self.reason,
            "via": self.via, "voice": self.voice,
        });
        tx.audit(
            "approval.voted",
            &approver.agent,
            Some(self.job.as_str()),
            &data,
        )
    }
}

/// Ends the jobs that nobody has approved of in time, a hundred at most.
#[derive(Debug)]
pub(in crate::queue) struct ExpireApprovals;

impl Command for ExpireApprovals {
    /// How many there were.
    type Answer = usize;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, QueueError> {
        let mut ended = 0;
        for id in expired(tx.connection, tx.now)? {
            if let Some(open) = Open::find(tx.connection, &id)? {
                let failure = Failure::new(
                    code::APPROVAL_EXPIRED,
                    format!(
                        "Nobody approved of the job before {}.",
                        open.request.request.expires_at
                    ),
                );
                open.end(tx, Event::ApprovalExpired, &failure)?;
                ended += 1;
            }
        }
        Ok(ended)
    }
}

/// The jobs whose requests have expired, a hundred at most.
pub(in crate::queue) fn expired(
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<JobId>, QueueError> {
    let mut statement = connection.prepare_cached(include_str!("../sql/approval_expired.sql"))?;
    let ids = statement.query_map([now.as_millis()], |row| row.get::<_, String>(0))?;
    ids.map(|id| row::job_id(&id?)).collect()
}

/// Records that a new job, or one that nobody holds any more, waits for an approval.
pub(super) fn request(
    tx: &mut Tx<'_>,
    job: &JobId,
    num: i64,
    round: u32,
    request: &Request,
    by: &str,
) -> Result<(), QueueError> {
    let groups = json("approvals", job.as_str(), &request.of.groups)?;
    let rules = json("approvals", job.as_str(), &request.rules)?;
    tx.execute(
        include_str!("../sql/approval_insert.sql"),
        params![
            num,
            round,
            request.digest,
            groups,
            rules,
            request.of.approvals,
            tx.now.as_millis(),
            request.expires_at.as_millis()
        ],
    )?;
    tell(tx, job, num, request, by)
}

/// Takes a job that nobody holds any more, and that has ended or has not begun, back to where it waits for an approval.
pub(super) fn ask(
    tx: &mut Tx<'_>,
    job: &JobId,
    num: i64,
    failures: u32,
    asked: &Request,
    by: &str,
) -> Result<(), QueueError> {
    let round = take_back(tx, num, failures)?;
    request(tx, job, num, round, asked, by)
}

/// The same, for the request that it had before.
pub(super) fn ask_as_before(
    tx: &mut Tx<'_>,
    job: &JobId,
    num: i64,
    by: &str,
) -> Result<(), QueueError> {
    let round = take_back(tx, num, 0)?;
    tx.execute(
        include_str!("../sql/approval_again.sql"),
        params![num, round, tx.now.as_millis()],
    )?;
    let Some(open) = Open::find(tx.connection, job)? else {
        return Err(row::corrupt(
            "approvals",
            job.as_str(),
            "its last request is missing",
        ));
    };
    tell(tx, job, num, &open.request.request, by)
}

/// Closes the request of a job that is ended otherwise.
pub(super) fn close(tx: &Tx<'_>, num: i64) -> Result<(), QueueError> {
    tx.execute(
        include_str!("../sql/approval_close.sql"),
        params![num, "void", tx.now.as_millis()],
    )?;
    Ok(())
}

fn take_back(tx: &Tx<'_>, num: i64, failures: u32) -> Result<u32, QueueError> {
    Ok(tx
        .connection
        .prepare_cached(include_str!("../sql/approval_ask.sql"))?
        .query_row(params![num, failures], |row| row.get(0))?)
}

/// The details of a request.
#[derive(Debug, Serialize)]
struct Requested<'r> {
    approvals: u32,
    digest: String,
    expires_at: Timestamp,
    groups: &'r [String],
    rules: &'r [String],
}

fn tell(
    tx: &mut Tx<'_>,
    job: &JobId,
    num: i64,
    request: &Request,
    by: &str,
) -> Result<(), QueueError> {
    let data = Requested {
        approvals: request.of.approvals,
        digest: canonical::hex(&request.digest),
        expires_at: request.expires_at,
        groups: &request.of.groups,
        rules: &request.rules,
    };
    tx.event(num, EventKind::ApprovalRequested, &data)?;
    tx.audit("approval.requested", by, Some(job.as_str()), &data)
}

fn denied(by: &str, reason: Option<&str>) -> Failure {
    let why = reason.map_or_else(|| ".".to_owned(), |reason| format!(": {reason}"));
    Failure::new(
        code::APPROVAL_DENIED,
        format!("{by} did not approve of the job{why}"),
    )
}

/// An open request, with what its end depends on.
#[derive(Debug)]
pub(in crate::queue) struct Open {
    num: i64,
    round: u32,
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
            .prepare_cached(include_str!("../sql/approval_open.sql"))?
            .query_row([job.as_str()], |row| Ok(Self::read(row)))
            .optional()?
            .transpose()?;
        found.map(|open| open.with_votes(connection)).transpose()
    }

    /// All open requests, oldest first.
    pub(in crate::queue) fn list(connection: &Connection) -> Result<Vec<Self>, QueueError> {
        let mut statement = connection.prepare_cached(include_str!("../sql/approval_list.sql"))?;
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
        let mut statement = connection.prepare_cached(include_str!("../sql/approval_votes.sql"))?;
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

    /// Lets the job queue: everybody whose approval it needs has given it.
    fn grant(&self, tx: &mut Tx<'_>, given: &[Approver]) -> Result<Option<StateName>, QueueError> {
        let after = next(self.state, Event::Approved, self.policy)?;
        let (id, digest) = (self.request.job.as_str(), &self.request.request.digest);
        let now = tx.now.as_millis();
        tx.execute(
            include_str!("../sql/approval_grant.sql"),
            params![self.num, digest, now],
        )?;
        self.close(tx, "approved")?;
        let by: Vec<_> = given.iter().map(|approver| &approver.agent).collect();
        let data = json!({"by": by, "digest": canonical::hex(digest)});
        tx.audit("job.approved", "queue", Some(id), &data)?;
        // Workers learn of it by the news of the vote.
        Ok(Some(after.name()))
    }

    /// Ends the job, of which nobody approves.
    fn end(
        &self,
        tx: &mut Tx<'_>,
        event: Event,
        failure: &Failure,
    ) -> Result<Option<StateName>, QueueError> {
        let after = next(self.state, event, self.policy)?.name();
        tx.execute(
            include_str!("../sql/held_settle.sql"),
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
        self.close(tx, after.as_str())?;
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
        Ok(Some(after))
    }

    /// Asks anew, as what it is for has changed.
    fn ask_again(&self, tx: &mut Tx<'_>, changed: &Request, by: &str) -> Result<(), QueueError> {
        self.close(tx, "void")?;
        let failures = self.state.failures().unwrap_or_default();
        ask(tx, &self.request.job, self.num, failures, changed, by)
    }

    fn close(&self, tx: &Tx<'_>, outcome: &str) -> Result<(), QueueError> {
        tx.execute(
            include_str!("../sql/approval_close.sql"),
            params![self.num, outcome, tx.now.as_millis()],
        )?;
        Ok(())
    }
}
