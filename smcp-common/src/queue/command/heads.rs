//! The walk that a claim takes through what waits: lanes, plugins and agents, not jobs. A deep backlog behind a busy lane costs one
//! step, and finished jobs and those of the future are not in the index at all.

use std::collections::BTreeSet;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::pause::Paused;
use crate::queue::QueueError;

/// The best job of an agent and a plugin in a lane, as far as it competes with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Head {
    /// `None` where it needs none.
    pub(in crate::queue) lane: Option<String>,
    pub(in crate::queue) plugin: String,
    pub(in crate::queue) agent: String,
    pub(in crate::queue) num: i64,
    pub(in crate::queue) priority: i64,
    pub(in crate::queue) run_at: i64,
}

impl Head {
    /// Reads a row from that column on.
    fn read(lane: Option<&str>, row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            lane: lane.map(ToOwned::to_owned),
            plugin: row.get(first)?,
            agent: row.get(first + 1)?,
            num: row.get(first + 2)?,
            priority: row.get(first + 3)?,
            run_at: row.get(first + 4)?,
        })
    }
}

/// The heads that no running job of their lane, no pause and no limit of their agent keeps back, lane by lane; those without a
/// lane first. One recursive query could walk them, too, but SQLite sets up a B-tree for each execution of one, at more than
/// the cost of everything else in a claim.
pub(in crate::queue) fn heads(
    connection: &Connection,
    barred: &Barred,
) -> Result<Vec<Head>, QueueError> {
    let mut heads = Vec::new();
    if barred.is_all() {
        return Ok(heads);
    }
    let mut groups = Groups::prepare(connection)?;
    groups.walk(None, None, |head| heads.push(head))?;
    let mut lanes = connection.prepare_cached(include_str!("../sql/claim_lane.sql"))?;
    let mut from = String::new();
    let mut step = |from: &str| {
        lanes
            .query_row([from], |row| {
                let lane: String = row.get(0)?;
                let first = Head::read(Some(&lane), row, 2)?;
                Ok((lane, row.get::<_, bool>(1)?, first))
            })
            .optional()
    };
    while let Some((lane, is_busy, first)) = step(&from)? {
        if !is_busy {
            groups.walk(Some(&lane), Some(first), |head| heads.push(head))?;
        }
        from = lane;
        // No text is between a lane and this one.
        from.push('\0');
    }
    heads.retain(|head| !barred.covers(head.lane.as_deref(), &head.plugin, &head.agent));
    Ok(heads)
}

/// The heads of one lane, be it busy or not, or of the jobs without one; whatever keeps them back.
pub(in crate::queue) fn heads_of(
    connection: &Connection,
    lane: Option<&str>,
) -> Result<Vec<Head>, QueueError> {
    let mut heads = Vec::new();
    Groups::prepare(connection)?.walk(lane, None, |head| heads.push(head))?;
    Ok(heads)
}

/// The plugins and agents that have jobs in a lane.
struct Groups<'c> {
    plugins: CachedStatement<'c>,
    agents: CachedStatement<'c>,
}

impl<'c> Groups<'c> {
    fn prepare(connection: &'c Connection) -> Result<Self, QueueError> {
        Ok(Self {
            plugins: connection.prepare_cached(include_str!("../sql/claim_plugin.sql"))?,
            agents: connection.prepare_cached(include_str!("../sql/claim_agent.sql"))?,
        })
    }

    /// Tells the head of each. `first` is the first of them, where it is known.
    fn walk(
        &mut self,
        lane: Option<&str>,
        first: Option<Head>,
        mut tell: impl FnMut(Head),
    ) -> Result<(), QueueError> {
        let mut next = match first {
            Some(first) => Some(first),
            None => self.next_plugin(lane, "")?,
        };
        while let Some(head) = next {
            next = match self.next_agent(lane, &head)? {
                Some(next) => Some(next),
                None => self.next_plugin(lane, &head.plugin)?,
            };
            tell(head);
        }
        Ok(())
    }

    fn next_agent(&mut self, lane: Option<&str>, after: &Head) -> Result<Option<Head>, QueueError> {
        let parameters = params![lane, after.plugin, after.agent];
        let found = self
            .agents
            .query_row(parameters, |row| Head::read(lane, row, 0));
        Ok(found.optional()?)
    }

    fn next_plugin(&mut self, lane: Option<&str>, after: &str) -> Result<Option<Head>, QueueError> {
        let found = self
            .plugins
            .query_row(params![lane, after], |row| Head::read(lane, row, 0));
        Ok(found.optional()?)
    }
}

/// What no worker takes jobs from.
#[derive(Debug)]
pub(in crate::queue) struct Barred {
    paused: Paused,
    /// The agents that have as many jobs running as they may.
    full: BTreeSet<String>,
}

impl Barred {
    /// What is barred now. There is nearly always nothing, which costs a look at an empty table and at an empty index.
    pub(in crate::queue) fn read(connection: &Connection) -> Result<Self, QueueError> {
        let mut full = connection.prepare_cached(include_str!("../sql/claim_full_agents.sql"))?;
        let full = full.query_map([], |row| row.get(0))?;
        Ok(Self {
            paused: Paused::read(connection)?,
            full: full.collect::<Result<_, _>>()?,
        })
    }

    /// Whether nothing is.
    pub(in crate::queue) fn is_empty(&self) -> bool {
        self.paused.is_empty() && self.full.is_empty()
    }

    /// Whether everything is.
    pub(in crate::queue) fn is_all(&self) -> bool {
        self.paused.is_all()
    }

    /// Whether jobs of that lane, plugin and agent must wait.
    pub(in crate::queue) fn covers(&self, lane: Option<&str>, plugin: &str, agent: &str) -> bool {
        self.full.contains(agent) || self.paused.covers(lane, plugin)
    }
}
