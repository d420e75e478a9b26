//! ④ The claim: one job for one free slot, with its attempt, its news and its audit record.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::{Command, Tx};
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
        tx.execute(
            include_str!("../sql/claim_promote.sql"),
            [tx.now.as_millis()],
        )?;
        let found = tx
            .connection
            .prepare_cached(include_str!("../sql/claim_select.sql"))?
            .query_row([], |row| Ok(Candidate::read(row)))
            .optional()?
            .transpose()?;
        found.map(|candidate| self.take(tx, candidate)).transpose()
    }
}

/// Whether a claim would find something, and when the next job falls due. Takes no lock.
pub(in crate::queue) fn peek(
    connection: &Connection,
    now: Timestamp,
) -> Result<(bool, Option<Timestamp>), QueueError> {
    Ok(connection
        .prepare_cached(include_str!("../sql/claim_peek.sql"))?
        .query_row([now.as_millis()], |row| {
            Ok((
                row.get(0)?,
                row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis),
            ))
        })?)
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
            timeout: row.get::<_, Option<u64>>(6)?.map(Duration::from_millis),
            id,
        };
        let policy = Policy {
            effect: row::effect(job.id.as_str(), &row.get::<_, String>(9)?)?,
            max_attempts: row.get(10)?,
        };
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
        let data = json!({"attempt": job.attempt, "worker": self.worker});
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
