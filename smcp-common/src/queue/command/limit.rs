//! What is used of limits, in the transaction that records the job: a limit that is shared by several processes admits no
//! more than one process would, and a use without a job does not exist.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Command, Tx};
use crate::clock::Timestamp;
use crate::limit::{Exceeded, Left, Limit, LimitKind};
use crate::queue::QueueError;

/// Whether all of the limits admit one call more of that agent; of several that do not, the one that frees last. Uses nothing.
pub(super) fn admit(
    connection: &Connection,
    agent: &str,
    limits: &[Limit],
    now: Timestamp,
) -> Result<Result<(), Exceeded>, QueueError> {
    let mut last: Option<Exceeded> = None;
    for limit in limits {
        let Some(counter) = Counter::find(connection, agent, &limit.rule)? else {
            continue;
        };
        let nth_last = counter.nth_last(connection, limit.kind)?;
        if let Some(frees_at) = limit.kind.frees_at(nth_last, now)
            && last.as_ref().is_none_or(|last| last.frees_at < frees_at)
        {
            last = Some(Exceeded {
                limit: limit.clone(),
                frees_at,
                wait: frees_at.since(now),
            });
        }
    }
    Ok(last.map_or(Ok(()), Err))
}

/// Counts a call of that agent, once for each rule. Older uses than its limits can ask about are forgotten.
pub(super) fn use_up(tx: &Tx<'_>, agent: &str, limits: &[Limit]) -> Result<(), QueueError> {
    let mut rules = BTreeMap::<&str, (u32, Timestamp)>::new();
    for Limit { rule, kind } in limits {
        let (kept, free_at) = rules.entry(rule).or_insert((0, tx.now));
        *kept = kind.allowed().max(*kept);
        *free_at = kind.forgets_at(tx.now).max(*free_at);
    }
    for (rule, (kept, free_at)) in rules {
        let counter = tx
            .connection
            .prepare_cached(include_str!("../sql/limit_take.sql"))?
            .query_row(params![agent, rule, free_at.as_millis()], Counter::read)?;
        let Counter { id, used } = counter;
        tx.execute(
            include_str!("../sql/limit_use_insert.sql"),
            params![id, used, tx.now.as_millis()],
        )?;
        tx.execute(
            include_str!("../sql/limit_uses_forget.sql"),
            params![id, used - i64::from(kept)],
        )?;
    }
    Ok(())
}

/// How much of each limit is left to that agent.
pub(in crate::queue) fn left(
    connection: &Connection,
    agent: &str,
    limits: &[Limit],
    now: Timestamp,
) -> Result<Vec<Left>, QueueError> {
    let left = limits.iter().map(|limit| {
        let kind = limit.kind;
        let counter = Counter::find(connection, agent, &limit.rule)?;
        let (used, nth_last) = match counter {
            Some(counter) => (
                counter.counting(connection, kind, now)?,
                counter.nth_last(connection, kind)?,
            ),
            None => (0, None),
        };
        Ok(Left {
            limit: limit.clone(),
            used,
            allowed: kind.allowed(),
            frees_at: kind.frees_at(nth_last, now),
        })
    });
    left.collect()
}

/// What an agent has used of a rule.
#[derive(Debug)]
struct Counter {
    id: i64,
    /// The number of the last use.
    used: i64,
}

impl Counter {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            used: row.get(1)?,
        })
    }

    fn find(connection: &Connection, agent: &str, rule: &str) -> Result<Option<Self>, QueueError> {
        Ok(connection
            .prepare_cached(include_str!("../sql/limit_find.sql"))?
            .query_row([agent, rule], Self::read)
            .optional()?)
    }

    /// The number of the use after which only as many follow as the limit allows.
    fn before(&self, kind: LimitKind) -> i64 {
        self.used - i64::from(kind.allowed())
    }

    fn nth_last(
        &self,
        connection: &Connection,
        kind: LimitKind,
    ) -> Result<Option<Timestamp>, QueueError> {
        let at: Option<i64> = connection
            .prepare_cached(include_str!("../sql/limit_use_at.sql"))?
            .query_row([self.id, self.before(kind) + 1], |row| row.get(0))
            .optional()?;
        Ok(at.map(Timestamp::from_millis))
    }

    /// How many uses count now.
    fn counting(
        &self,
        connection: &Connection,
        kind: LimitKind,
        now: Timestamp,
    ) -> Result<u32, QueueError> {
        let mut statement =
            connection.prepare_cached(include_str!("../sql/limit_uses_list.sql"))?;
        let mut rows = statement.query([self.id, self.before(kind)])?;
        let mut counting = 0;
        while let Some(row) = rows.next()? {
            counting += u32::from(kind.counts(Timestamp::from_millis(row.get(0)?), now));
        }
        Ok(counting)
    }
}

/// Forgets uses that do not matter any more.
#[derive(Debug)]
pub(in crate::queue) struct PruneLimits {
    /// So many at most.
    pub(in crate::queue) most: u32,
}

impl Command for PruneLimits {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let parameters = params![tx.now.as_millis(), self.most];
        tx.execute(include_str!("../sql/limit_prune_uses.sql"), parameters)?;
        tx.execute(include_str!("../sql/limit_prune.sql"), parameters)?;
        Ok(())
    }
}
