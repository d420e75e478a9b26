//! Approvals: asked for with the job, given or refused by those who may, and gone when nobody has answered in time.

mod open;

use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::json;

pub(in crate::queue) use self::open::Open;
use super::{Command, Tx, json};
use crate::approval::{Approver, Obstacle, Request, Voice, suffices};
use crate::canonical;
use crate::clock::Timestamp;
use crate::job::{Event, EventKind, Failure, JobId, StateName, code};
use crate::queue::agents::subject;
use crate::queue::{OpenRequest, QueueError, Vote, row};

impl Command for Vote {
    /// Where the job stands now, or why the word does not count, which is recorded as well.
    type Answer = Result<StateName, Obstacle>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, QueueError> {
        let Some(open) = Open::find(tx.connection, &self.job)? else {
            let obstacle = Obstacle::NotPending(self.job.to_string());
            return self.refused(tx, obstacle);
        };
        let voter = subject(tx.connection, &self.voter)?;
        let OpenRequest { request, given, .. } = &open.request;
        let admitted = open
            .request
            .admit(self.voice, &voter, self.seen.as_ref(), tx.now);
        let groups = match admitted {
            Ok(groups) => groups,
            Err(obstacle) => return self.refused(tx, obstacle),
        };
        // What has been asked for anew since may have the same digest.
        let requested_at = open.request.requested_at;
        if self.seen_at.is_some_and(|seen_at| seen_at < requested_at) {
            return self.refused(tx, Obstacle::Changed);
        }
        // Somebody else may have had it asked for anew meanwhile; what has been approved of since then stays so.
        let is_new = |changed: &&Request| changed.digest != request.digest;
        if let Some(changed) = self.changed.as_ref().filter(is_new) {
            open.ask_again(tx, changed, &self.voter)?;
            return self.refused(tx, Obstacle::Changed);
        }
        let approver = Approver {
            agent: voter.agent,
            groups,
            at: tx.now,
        };
        self.record(tx, &open, &approver)?;
        match self.voice {
            Voice::Approve => {
                let mut given = given.clone();
                given.push(approver);
                if suffices(&request.of, &given) {
                    open.grant(tx, &given)
                } else {
                    Ok(StateName::AwaitingApproval)
                }
            }
            Voice::Deny => {
                let failure = denied(&self.voter, self.reason.as_deref());
                open.end(tx, Event::Denied, &failure)
            }
        }
        .map(Ok)
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
            &self.voter,
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
    failures: u32,
    by: &str,
) -> Result<(), QueueError> {
    let round = take_back(tx, num, failures)?;
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
    settle(tx, num, "void")
}

fn settle(tx: &Tx<'_>, num: i64, outcome: &str) -> Result<(), QueueError> {
    tx.execute(
        include_str!("../sql/approval_close.sql"),
        params![num, outcome, tx.now.as_millis()],
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
