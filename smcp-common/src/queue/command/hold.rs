//! What happens to a job that a worker holds: its lease is renewed, it ends, it is given back, or its worker is lost.
//! The one place that writes the state that follows an attempt.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::agent::REVOKED;
use super::approval::ask;
use super::key::of_revoked;
use super::workflow::touch;
use super::{Cancel, Command, Tx, json as text};
use crate::approval::Request;
use crate::clock::Timestamp;
use crate::job::{
    Event, EventKind, Failure, JobId, MAX_DELAY, Policy, Retry, State, StateName, code, next,
};
use crate::queue::leases::HeldLease;
use crate::queue::{Hold, LEASE, Lease, QueueError, row};
use crate::sandbox::Confinement;

/// A held job, as far as its next state depends on it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) num: i64,
    pub(super) id: JobId,
    pub(super) attempt: u32,
    failures: u32,
    policy: Policy,
    retry: Option<Retry>,
    cancelling: bool,
    pub(super) output_bytes: u64,
    /// The workflow that it is a part of.
    workflow: Option<String>,
}

/// How an attempt ends on the books.
#[derive(Debug)]
pub(super) struct Ending<'e> {
    pub(super) event: Event,
    /// The attempt's outcome, as stored.
    pub(super) outcome: &'e str,
    pub(super) failure: Option<Failure>,
    /// What the plugin wants to pass before it is run again; `None` leaves that to the job's policy.
    pub(super) after: Option<Duration>,
    /// Who says so, for the audit record.
    pub(super) by: &'e str,
    /// What held it, where a process has run.
    pub(super) confinement: Option<&'e Confinement>,
    /// What is to be approved of instead, where nothing has begun for that reason.
    pub(super) approval: Option<&'e Request>,
}

/// The news of a job's end.
#[derive(Debug, Serialize)]
struct Finished {
    state: StateName,
}

/// The news of an attempt that another one follows.
#[derive(Debug, Serialize)]
struct Requeued<'e> {
    attempt: u32,
    reason: &'e str,
    run_at: Option<Timestamp>,
}

/// The details of an attempt's end.
#[derive(Debug, Serialize)]
struct Attempted<'e> {
    attempt: u32,
    code: Option<String>,
    outcome: &'e str,
    state: StateName,
}

impl Held {
    /// The job, if `hold` is still its current attempt.
    pub(super) fn find(tx: &Tx<'_>, hold: &Hold) -> Result<Self, QueueError> {
        tx.connection
            .prepare_cached(include_str!("../sql/held_find.sql"))?
            .query_row(
                params![hold.job.as_str(), hold.attempt, hold.worker],
                |row| Ok(Self::read(row)),
            )
            .optional()?
            .unwrap_or_else(|| {
                Err(QueueError::LeaseLost {
                    job: hold.job.clone(),
                    attempt: hold.attempt,
                })
            })
    }

    /// Reads the columns of `held_find.sql` and its kin.
    fn read(row: &Row<'_>) -> Result<Self, QueueError> {
        let id = row::job_id(&row.get::<_, String>(1)?)?;
        let retry = row::retry(id.as_str(), row.get::<_, Option<String>>(6)?.as_deref())?;
        let effect: String = row.get(4)?;
        Ok(Self {
            num: row.get(0)?,
            attempt: row.get(2)?,
            failures: row.get(3)?,
            policy: row::policy(id.as_str(), &effect, row.get(5)?, retry.as_ref())?,
            cancelling: row.get(7)?,
            output_bytes: row.get(8)?,
            workflow: row.get(9)?,
            retry,
            id,
        })
    }

    /// Ends the attempt and writes the state that follows, with its news and its audit record.
    pub(super) fn end(&self, tx: &mut Tx<'_>, ending: Ending<'_>) -> Result<State, QueueError> {
        let running = State::Running {
            attempt: self.attempt,
            failures: self.failures,
            cancelling: self.cancelling,
        };
        let after = next(running, ending.event, self.policy)?;
        let (name, now) = (after.name(), tx.now.as_millis());
        let failure = ending.failure.as_ref();
        let confinement = ending
            .confinement
            .map(|confinement| text("attempts", self.id.as_str(), confinement))
            .transpose()?;
        tx.execute(
            include_str!("../sql/attempt_end.sql"),
            params![
                self.num,
                self.attempt,
                now,
                ending.outcome,
                failure.map(|failure| &failure.code),
                failure.map(|failure| &failure.message),
                confinement
            ],
        )?;
        if let (State::AwaitingApproval { failures, .. }, Some(asked)) = (after, ending.approval) {
            ask(tx, &self.id, self.num, failures, asked, ending.by)?;
            let data = Attempted {
                attempt: self.attempt,
                code: None,
                outcome: ending.outcome,
                state: name,
            };
            tx.audit("job.attempted", ending.by, Some(self.id.as_str()), &data)?;
            return Ok(after);
        }
        let failures = self.failures + u32::from(ending.event.is_held_against());
        let run_at = self.comes_back(after, &ending, tx.now);
        let verdict = verdict(name, ending.event, failures, ending.failure);
        tx.execute(
            include_str!("../sql/held_settle.sql"),
            params![
                self.num,
                name.as_str(),
                after.failures().unwrap_or(failures),
                verdict.as_ref().map(|failure| &failure.code),
                verdict.as_ref().map(|failure| &failure.message),
                name.is_final().then_some(now),
                run_at.map(Timestamp::as_millis),
                run_at.map(|at| at <= tx.now)
            ],
        )?;
        if name.is_final() {
            tx.event(self.num, EventKind::Finished, &Finished { state: name })?;
            if let Some(workflow) = &self.workflow {
                touch(tx, workflow)?;
            }
        } else {
            let news = Requeued {
                attempt: self.attempt,
                reason: ending.outcome,
                run_at,
            };
            tx.event(self.num, EventKind::Requeued, &news)?;
        }
        let data = Attempted {
            attempt: self.attempt,
            code: verdict.map(|failure| failure.code),
            outcome: ending.outcome,
            state: name,
        };
        tx.audit("job.attempted", ending.by, Some(self.id.as_str()), &data)?;
        if name == StateName::Queued && of_revoked(tx, self.num)? {
            // It was let go on to the end of its attempt, and no further.
            let cancel = Cancel {
                job: self.id.clone(),
                by: "queue".to_owned(),
                reason: Some(REVOKED.to_owned()),
            };
            cancel.apply(tx)?;
            return Ok(State::Cancelled);
        }
        Ok(after)
    }

    /// When a job that is queued again may run; `None` keeps the instant that it had, and with it its place.
    fn comes_back(&self, after: State, ending: &Ending<'_>, now: Timestamp) -> Option<Timestamp> {
        let State::Queued { failures, .. } = after else {
            return None;
        };
        match ending.event {
            // Not the job's fault, as far as anybody knows: it goes on at once.
            Event::WorkerLost if self.retry.is_none() => None,
            Event::Failed(_) | Event::WorkerLost | Event::Snoozed => {
                let delay = ending.after.map_or_else(
                    || {
                        let undeclared = Retry::undeclared();
                        let retry = self.retry.as_ref().unwrap_or(&undeclared);
                        retry.delay(failures, rand::random())
                    },
                    |after| after.min(MAX_DELAY),
                );
                Some(now.plus(delay))
            }
            Event::Claimed
            | Event::Succeeded
            | Event::Stopped
            | Event::Released
            | Event::Interrupted
            | Event::Approved
            | Event::Denied
            | Event::ApprovalExpired
            | Event::ApprovalVoided
            | Event::CancelRequested => None,
        }
    }
}

/// What the job itself says of its failure, beside what its attempt says.
fn verdict(
    state: StateName,
    event: Event,
    failures: u32,
    failure: Option<Failure>,
) -> Option<Failure> {
    match state {
        StateName::AwaitingApproval
        | StateName::Queued
        | StateName::Running
        | StateName::Succeeded => None,
        StateName::Failed if event == Event::WorkerLost => Some(Failure::new(
            code::WORKER_LOST,
            format!(
                "The worker died or fell silent while it ran this job, and that was the last of its {failures} attempts: it is \
                 given up. Perhaps the job is what kills its workers."
            ),
        )),
        // Denied and expired jobs are held by nobody.
        StateName::Failed | StateName::Denied | StateName::Expired => failure,
        StateName::Cancelled => Some(Failure::new(code::CANCELLED, "The job was cancelled.")),
        StateName::OutcomeUnknown => Some(Failure::new(
            code::OUTCOME_UNKNOWN,
            "The worker died or was stopped while it ran this job. What the job has done is not known, and its tool must not be \
             repeated unasked: check, then have it run again by jobs__retry if that is wanted.",
        )),
    }
}

fn lost() -> Ending<'static> {
    let failure = Failure::new(
        code::WORKER_LOST,
        "The worker died or fell silent while it ran this job.",
    );
    Ending {
        event: Event::WorkerLost,
        outcome: "worker_lost",
        failure: Some(failure),
        after: None,
        by: "queue",
        confinement: None,
        approval: None,
    }
}

/// Prolongs a lease.
#[derive(Debug)]
pub(in crate::queue) struct Renew(pub(in crate::queue) Hold);

impl Command for Renew {
    type Answer = Lease;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Lease, QueueError> {
        let Hold {
            job,
            attempt,
            worker,
        } = &self.0;
        let until = tx.now.plus(LEASE);
        let cancelling: Option<bool> = tx
            .connection
            .prepare_cached(include_str!("../sql/held_renew.sql"))?
            .query_row(
                params![job.as_str(), attempt, worker, until.as_millis()],
                |row| row.get(0),
            )
            .optional()?;
        match cancelling {
            Some(cancelling) => Ok(Lease { until, cancelling }),
            None => Err(QueueError::LeaseLost {
                job: job.clone(),
                attempt: *attempt,
            }),
        }
    }
}

/// Gives back whatever a worker still holds: the last thing that a stopping worker does.
#[derive(Debug)]
pub(in crate::queue) struct ReleaseAll {
    pub(in crate::queue) worker: String,
}

impl Command for ReleaseAll {
    type Answer = usize;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, QueueError> {
        let by = format!("worker:{}", self.worker);
        end_worker(tx, &self.worker, false, || Ending {
            event: Event::Interrupted,
            outcome: "interrupted",
            failure: None,
            after: None,
            by: &by,
            confinement: None,
            approval: None,
        })
    }
}

/// Settles the jobs of a worker whose process is known to be dead.
#[derive(Debug)]
pub(in crate::queue) struct LoseWorker {
    pub(in crate::queue) worker: String,
}

impl Command for LoseWorker {
    type Answer = usize;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, QueueError> {
        end_worker(tx, &self.worker, true, lost)
    }
}

/// The leases of all running jobs, of which each worker has one.
pub(in crate::queue) fn leases(connection: &Connection) -> Result<Vec<HeldLease>, QueueError> {
    let mut statement = connection.prepare_cached(include_str!("../sql/held_leases.sql"))?;
    let rows = statement.query_map([], |row| {
        Ok(HeldLease {
            num: row.get(0)?,
            attempt: row.get(1)?,
            until: Timestamp::from_millis(row.get(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Settles the jobs whose leases have run out, unless they have been renewed meanwhile.
#[derive(Debug)]
pub(in crate::queue) struct LoseExpired(pub(in crate::queue) Vec<HeldLease>);

impl Command for LoseExpired {
    type Answer = usize;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, QueueError> {
        let mut lost_ones = 0;
        for lease in &self.0 {
            let unrenewed = params![lease.num, lease.attempt, lease.until.as_millis()];
            for job in collect(tx, include_str!("../sql/held_unrenewed.sql"), unrenewed)? {
                job.end(tx, lost())?;
                lost_ones += 1;
            }
        }
        Ok(lost_ones)
    }
}

/// Ends every attempt of a worker that is no more; answers how many there were.
fn end_worker<'e>(
    tx: &mut Tx<'_>,
    worker: &str,
    is_lost: bool,
    ending: impl Fn() -> Ending<'e>,
) -> Result<usize, QueueError> {
    let held = collect(tx, include_str!("../sql/held_by_worker.sql"), [worker])?;
    for job in &held {
        job.end(tx, ending())?;
    }
    let now = tx.now.as_millis();
    let stopped = tx.execute(include_str!("../sql/worker_stop.sql"), params![worker, now])?;
    if stopped > 0 {
        let data = json!({"jobs": held.len(), "lost": is_lost});
        tx.audit("worker.stopped", &format!("worker:{worker}"), None, &data)?;
    }
    // What it did for all is for the others, and so is the scan that it may have been at.
    let duties = tx.execute(include_str!("../sql/duty_leave.sql"), [worker])?;
    let scans = tx.execute(include_str!("../sql/catalogue_leave.sql"), [worker])?;
    tx.marks.rings |= duties + scans > 0;
    Ok(held.len())
}

fn collect(
    tx: &Tx<'_>,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Held>, QueueError> {
    let mut statement = tx.connection.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| Ok(Held::read(row)))?;
    rows.map(|row| row.map_err(QueueError::from).and_then(|held| held))
        .collect()
}

/// The details of a cancel request, as its news carry them.
pub(super) fn request(by: &str, reason: Option<&str>) -> Value {
    json!({"by": by, "reason": reason})
}
