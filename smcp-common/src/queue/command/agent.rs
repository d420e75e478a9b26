//! Agents: added, put into groups, revoked.

use std::collections::BTreeSet;

use rusqlite::params;
use serde_json::json;

use super::key;
use super::workflow::stop_advancing;
use super::{Cancel, Command, PauseSchedule, Tx, json as text};
use crate::agent::{OPERATOR, OPERATORS, groups_of_builtin};
use crate::clock::Timestamp;
use crate::queue::agents::{StoredAgent, find};
use crate::queue::{GroupChange, NewAgent, NewKey, QueueError, Revoked, row};

/// Why jobs end whose agent does.
pub(super) const REVOKED: &str = "its agent was revoked";

/// Adds an agent, or takes a revoked one back, with a key.
#[derive(Debug)]
pub(in crate::queue) struct AddAgent {
    pub(in crate::queue) agent: NewAgent,
    pub(in crate::queue) key: NewKey,
    pub(in crate::queue) by: String,
}

impl Command for AddAgent {
    /// When the key ends by itself.
    type Answer = Option<Timestamp>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<Timestamp>, QueueError> {
        let NewAgent {
            name,
            groups,
            max_running,
        } = &self.agent;
        let before = find(tx.connection, name)?;
        if before
            .as_ref()
            .is_some_and(|agent| agent.revoked_at.is_none())
        {
            return Err(QueueError::AgentExists(name.clone()));
        }
        tx.execute(
            include_str!("../sql/agent_insert.sql"),
            params![
                name,
                text("agents", name, groups)?,
                max_running,
                tx.now.as_millis(),
                self.by
            ],
        )?;
        let data = json!({"again": before.is_some(), "agent": name, "groups": groups,
                          "max_running": max_running});
        tx.audit("agent.added", &self.by, None, &data)?;
        let expires_at = key::insert(tx, name, &self.key)?;
        key::created(tx, name, &self.key, expires_at, None, &self.by)?;
        tx.marks.rings = true;
        Ok(expires_at)
    }
}

/// Changes the groups that an agent is in.
#[derive(Debug)]
pub(in crate::queue) struct ChangeGroups {
    pub(in crate::queue) agent: String,
    pub(in crate::queue) change: GroupChange,
    pub(in crate::queue) by: String,
}

impl Command for ChangeGroups {
    /// The groups that it is in now.
    type Answer = BTreeSet<String>;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<BTreeSet<String>, QueueError> {
        let name = &self.agent;
        let (before, max_running) = standing(tx, name)?;
        let after: BTreeSet<_> = match &self.change {
            GroupChange::Set(groups) => groups.clone(),
            GroupChange::Change { add, remove } => before
                .union(add)
                .filter(|group| !remove.contains(*group))
                .cloned()
                .collect(),
        };
        // Nobody else could give it back.
        if name == OPERATOR && !after.contains(OPERATORS) {
            return Err(QueueError::OperatorStays);
        }
        if after == before {
            return Ok(after);
        }
        store(tx, name, &after, max_running, &self.by)?;
        // What it is listed may be another list now.
        tx.execute(include_str!("../sql/catalogue_choose.sql"), [])?;
        tx.marks.rings = true;
        let data = json!({"agent": name, "groups": after, "old_groups": before});
        tx.audit("agent.changed", &self.by, None, &data)?;
        Ok(after)
    }
}

/// Changes how many jobs of an agent run at a time.
#[derive(Debug)]
pub(in crate::queue) struct LimitRunning {
    pub(in crate::queue) agent: String,
    /// `None` lifts the limit.
    pub(in crate::queue) max_running: Option<u32>,
    pub(in crate::queue) by: String,
}

impl Command for LimitRunning {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let (name, after) = (&self.agent, self.max_running);
        let (groups, before) = standing(tx, name)?;
        if after == before {
            return Ok(());
        }
        store(tx, name, &groups, after, &self.by)?;
        // Some of its jobs may begin now.
        tx.marks.rings = true;
        let data = json!({"agent": name, "max_running": after, "old_max_running": before});
        tx.audit("agent.changed", &self.by, None, &data)
    }
}

/// Ends an agent, and what it has begun as far as that does not run.
#[derive(Debug)]
pub(in crate::queue) struct RevokeAgent {
    pub(in crate::queue) agent: String,
    /// Whether what runs is stopped, too.
    pub(in crate::queue) stop: bool,
    pub(in crate::queue) by: String,
}

impl Command for RevokeAgent {
    type Answer = Revoked;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Revoked, QueueError> {
        let name = self.agent.as_str();
        live(tx, name)?;
        let now = tx.now.as_millis();
        tx.execute(include_str!("../sql/agent_revoke.sql"), params![name, now])?;
        let mut revoked = Revoked::default();
        for id in key::live(tx, name)? {
            key::revoke(tx, name, &id, &self.by)?;
            revoked.keys += 1;
        }
        // Whom nobody trusts any more has not approved of anything that could still wait for somebody else.
        tx.execute(include_str!("../sql/agent_votes_forget.sql"), [name])?;
        // Their jobs and answers are for nobody: one who is added under this name later is somebody else.
        tx.execute(include_str!("../sql/agent_sessions_close.sql"), [name])?;
        for id in ids(tx, include_str!("../sql/agent_schedules.sql"), name)? {
            let by = self.by.clone();
            PauseSchedule { id, by }.apply(tx)?;
            revoked.schedules += 1;
        }
        for id in ids(tx, include_str!("../sql/agent_workflows.sql"), name)? {
            stop_advancing(tx, &row::workflow_id(&id)?, &self.by, Some(REVOKED))?;
            revoked.workflows += 1;
        }
        revoked.cancelled = self.cancel(tx, include_str!("../sql/agent_jobs_queued.sql"))?;
        if self.stop {
            revoked.stopped = self.cancel(tx, include_str!("../sql/agent_jobs_running.sql"))?;
        }
        tx.marks.rings = true;
        let Revoked {
            cancelled,
            keys,
            schedules,
            stopped,
            workflows,
        } = revoked;
        let data = json!({"agent": name, "cancelled": cancelled, "keys": keys, "schedules": schedules,
                          "stopped": stopped, "workflows": workflows});
        tx.audit("agent.revoked", &self.by, None, &data)?;
        Ok(revoked)
    }
}

impl RevokeAgent {
    fn cancel(&self, tx: &mut Tx<'_>, jobs: &str) -> Result<usize, QueueError> {
        let jobs = ids(tx, jobs, &self.agent)?;
        for id in &jobs {
            let cancel = Cancel {
                job: row::job_id(id)?,
                by: self.by.clone(),
                reason: Some(REVOKED.to_owned()),
            };
            cancel.apply(tx)?;
        }
        Ok(jobs.len())
    }
}

/// The groups of an agent that is not revoked, be it added or built in, and the most jobs of it that run at a time.
fn standing(tx: &Tx<'_>, name: &str) -> Result<(BTreeSet<String>, Option<u32>), QueueError> {
    match groups_of_builtin(name) {
        Some(groups) => Ok(find(tx.connection, name)?
            .map_or((groups, None), |agent| (agent.groups, agent.max_running))),
        None => live(tx, name).map(|agent| (agent.groups, agent.max_running)),
    }
}

fn store(
    tx: &Tx<'_>,
    name: &str,
    groups: &BTreeSet<String>,
    max_running: Option<u32>,
    by: &str,
) -> Result<(), QueueError> {
    let groups = text("agents", name, groups)?;
    tx.execute(
        include_str!("../sql/agent_change.sql"),
        params![name, groups, max_running, tx.now.as_millis(), by],
    )?;
    Ok(())
}

/// The agent, which somebody has added and nobody revoked.
pub(super) fn live(tx: &Tx<'_>, name: &str) -> Result<StoredAgent, QueueError> {
    let found = find(tx.connection, name)?;
    let agent = found.ok_or_else(|| QueueError::NoSuchAgent(name.to_owned()))?;
    if agent.revoked_at.is_some() {
        return Err(QueueError::AgentRevoked(name.to_owned()));
    }
    Ok(agent)
}

fn ids(tx: &Tx<'_>, sql: &str, agent: &str) -> Result<Vec<String>, QueueError> {
    let mut statement = tx.connection.prepare_cached(sql)?;
    let ids = statement.query_map([agent], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}
