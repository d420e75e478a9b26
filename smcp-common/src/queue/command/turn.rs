//! Whose turn it is: agents are served in turns, in each lane and among all lanes that are free, so that one agent's backlog does not
//! make the others wait for all of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::{Head, Tx};
use crate::job::Rank;
use crate::queue::{QueueError, row};

/// When agents were served last, as a number that grows: in each lane, and among all lanes that were free. Who is not in it has not
/// been served as long as somebody else could have been.
#[derive(Debug, Default)]
pub(in crate::queue) struct Turns {
    all: BTreeMap<String, i64>,
    lanes: BTreeMap<String, BTreeMap<String, i64>>,
}

impl Turns {
    pub(in crate::queue) fn read(connection: &Connection) -> Result<Self, QueueError> {
        let mut turns = Self::default();
        let mut statement = connection.prepare_cached(include_str!("../sql/turn_list.sql"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (scope, lane): (String, String) = (row.get(0)?, row.get(1)?);
            let served = match scope.as_str() {
                "all" => &mut turns.all,
                "lane" => turns.lanes.entry(lane).or_default(),
                _ => return Err(row::corrupt("turns", &scope, "there is no such scope")),
            };
            served.insert(row.get(2)?, row.get(3)?);
        }
        Ok(turns)
    }

    /// When an agent was served last: in that lane, or among all; 0 where that does not count.
    pub(in crate::queue) fn served(&self, lane: Option<&str>, agent: &str) -> i64 {
        let served = match lane {
            Some(lane) => self.lanes.get(lane),
            None => Some(&self.all),
        };
        let served = served.and_then(|served| served.get(agent));
        served.copied().unwrap_or_default()
    }

    /// Where a head stands among those of its lane, or among all.
    pub(in crate::queue) fn rank(&self, lane: Option<&str>, head: &Head) -> Rank {
        Rank {
            priority: Reverse(head.priority),
            served: self.served(lane, &head.agent),
            run_at: head.run_at,
            num: head.num,
        }
    }

    /// Of each lane the one that goes first, and all that have no lane. The heads are those of `heads`.
    pub(in crate::queue) fn firsts<'h>(&self, heads: &'h [Head]) -> Vec<&'h Head> {
        let lanes = heads.chunk_by(|one, other| one.lane.is_some() && one.lane == other.lane);
        lanes
            .filter_map(|lane| {
                let heads = lane.iter();
                heads.min_by_key(|head| self.rank(head.lane.as_deref(), head))
            })
            .collect()
    }

    /// The one that goes first of all.
    pub(super) fn first<'h>(&self, heads: &'h [Head]) -> Option<&'h Head> {
        let firsts = self.firsts(heads).into_iter();
        firsts.min_by_key(|head| self.rank(None, head))
    }

    /// Notes that `head`, one of `heads`, is served.
    pub(super) fn note(&self, tx: &Tx<'_>, heads: &[Head], head: &Head) -> Result<(), QueueError> {
        note(tx, ("all", ""), &self.all, heads.iter(), head)?;
        if let Some(lane) = &head.lane {
            let none = BTreeMap::new();
            let served = self.lanes.get(lane).unwrap_or(&none);
            let rivals = heads
                .iter()
                .filter(|rival| rival.lane.as_ref() == Some(lane));
            note(tx, ("lane", lane), served, rivals, head)?;
        }
        Ok(())
    }
}

/// Where no other agent could have been served, nobody needs to know who was: nothing is written then, and what was is forgotten.
fn note<'h>(
    tx: &Tx<'_>,
    (scope, lane): (&str, &str),
    served: &BTreeMap<String, i64>,
    rivals: impl Iterator<Item = &'h Head>,
    head: &Head,
) -> Result<(), QueueError> {
    let agents: BTreeSet<_> = rivals.map(|rival| &rival.agent).collect();
    if agents.len() > 1 {
        let next = served.values().max().copied().unwrap_or_default() + 1;
        tx.execute(
            include_str!("../sql/turn_set.sql"),
            params![scope, lane, head.agent, next],
        )?;
    } else if !served.is_empty() {
        tx.execute(include_str!("../sql/turn_forget.sql"), [scope, lane])?;
    }
    Ok(())
}
