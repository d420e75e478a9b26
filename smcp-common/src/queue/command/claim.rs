//! ④ The claim: one job for one free slot, with its attempt, its news and its audit record.

use std::time::Duration;

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::{Barred, Command, Turns, Tx, heads};
use crate::clock::Timestamp;
use crate::job::{Claimed, Event, EventKind, Policy, State, next};
use crate::queue::{LEASE, QueueError, row};

#[derive(Debug)]
pub(in crate::queue) struct Claim {
    pub(in crate::queue) worker: String,
}

impl Command for Claim {
    type Answer = Option<Claimed>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<Claimed>, QueueError> {
        if is_draining(tx, &self.worker)? {
            return Ok(None);
        }
        promote(tx)?;
        let Some(num) = best(tx)? else {
            return Ok(None);
        };
        let candidate = tx
            .connection
            .prepare_cached(include_str!("../sql/claim_select.sql"))?
            .query_row([num], |row| Ok(Candidate::read(row)))??;
        self.take(tx, candidate).map(Some)
    }
}

/// A draining worker takes nothing more, not even with the end of its last job.
fn is_draining(tx: &Tx<'_>, worker: &str) -> Result<bool, QueueError> {
    Ok(tx
        .connection
        .prepare_cached(include_str!("../sql/worker_is_draining.sql"))?
        .query_row([worker], |row| row.get(0))?)
}

/// Lets the jobs compete whose time has come.
fn promote(tx: &Tx<'_>) -> Result<(), QueueError> {
    let now = tx.now.as_millis();
    // Nearly always there are none; the update would build a table of them to find that out.
    let mut due = tx
        .connection
        .prepare_cached(include_str!("../sql/claim_is_due.sql"))?;
    if due.exists([now])? {
        tx.execute(include_str!("../sql/claim_promote.sql"), [now])?;
    }
    Ok(())
}

/// The job whose turn it is; that it is is noted.
fn best(tx: &Tx<'_>) -> Result<Option<i64>, QueueError> {
    let heads = heads(tx.connection, &Barred::read(tx.connection)?)?;
    let turns = Turns::read(tx.connection)?;
    let Some(first) = turns.first(&heads) else {
        return Ok(None);
    };
    turns.note(tx, &heads, first)?;
    Ok(Some(first.num))
}

/// Whether a claim would find something, and when the next job falls due. Takes no lock.
pub(in crate::queue) fn peek(
    connection: &Connection,
    now: Timestamp,
) -> Result<(bool, Option<Timestamp>), QueueError> {
    let (waits, falls_due, next_due) = connection
        .prepare_cached(include_str!("../sql/claim_peek.sql"))?
        .query_row([now.as_millis()], |row| {
            let next_due: Option<i64> = row.get(2)?;
            Ok((
                row.get::<_, bool>(0)?,
                row.get::<_, bool>(1)?,
                next_due.map(Timestamp::from_millis),
            ))
        })?;
    if !waits && !falls_due {
        return Ok((false, next_due));
    }
    let barred = Barred::read(connection)?;
    if barred.is_all() {
        // Nothing to wake up for: whoever resumes rings the bell.
        return Ok((false, None));
    }
    if barred.is_empty() || falls_due {
        return Ok((true, next_due));
    }
    let found = heads(connection, &barred)?;
    Ok((!found.is_empty(), next_due))
}

struct Candidate {
    num: i64,
    job: Claimed,
    state: State,
    policy: Policy,
}

impl Candidate {
    fn read(row: &Row<'_>) -> Result<Self, QueueError> {
        let id = row::job_id(&row.get::<_, String>(1)?)?;
        let attempt = row.get(7)?;
        let job = Claimed {
            attempt,
            tool: row.get(2)?,
            plugin: row.get(3)?,
            agent: row.get(4)?,
            arguments: row::object("jobs", id.as_str(), &row.get::<_, String>(5)?)?,
            sealed: row.get(12)?,
            timeout: row.get::<_, Option<u64>>(6)?.map(Duration::from_millis),
            approved: row.get(13)?,
            strict_sandbox: row.get(14)?,
            id,
        };
        let retry = row::retry(
            job.id.as_str(),
            row.get::<_, Option<String>>(11)?.as_deref(),
        )?;
        let effect: String = row.get(9)?;
        let policy = row::policy(job.id.as_str(), &effect, row.get(10)?, retry.as_ref())?;
        Ok(Self {
            num: row.get(0)?,
            state: State::Queued {
                attempt,
                failures: row.get(8)?,
            },
            job,
            policy,
        })
    }
}

/// The details of a claim.
#[derive(Debug, Serialize)]
struct Began<'c> {
    attempt: u32,
    worker: &'c str,
}

impl Claim {
    fn take(&self, tx: &mut Tx<'_>, candidate: Candidate) -> Result<Claimed, QueueError> {
        let Candidate {
            num,
            mut job,
            state,
            policy,
        } = candidate;
        if let State::Running { attempt, .. } = next(state, Event::Claimed, policy)? {
            job.attempt = attempt;
        }
        let now = tx.now.as_millis();
        let lease_until = tx.now.plus(LEASE).as_millis();
        tx.execute(
            include_str!("../sql/claim_take.sql"),
            params![num, job.attempt, self.worker, lease_until],
        )?;
        tx.execute(
            include_str!("../sql/attempt_insert.sql"),
            params![num, job.attempt, self.worker, now],
        )?;
        let data = Began {
            attempt: job.attempt,
            worker: &self.worker,
        };
        tx.event(num, EventKind::Started, &data)?;
        tx.audit(
            "job.claimed",
            &format!("worker:{}", self.worker),
            Some(job.id.as_str()),
            &data,
        )?;
        Ok(job)
    }
}
