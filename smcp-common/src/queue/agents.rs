//! Agents and their groups: who is added, changed and revoked.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use super::command as c;
use super::keys::{Key, NewKey, instant, keys};
use super::{Queue, QueueError, row};
use crate::agent::{BUILT_IN, groups_of_builtin};
use crate::clock::Timestamp;
use crate::policy::Subject;

/// An agent that is to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgent {
    /// Its name, which [`check_name`](crate::agent::check_name) has admitted.
    pub name: String,
    /// The groups that it is in.
    pub groups: BTreeSet<String>,
    /// The most jobs of it that run at a time.
    pub max_running: Option<u32>,
}

/// An agent as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Whether it is there without having been added.
    pub built_in: bool,
    /// The groups that it is in.
    pub groups: BTreeSet<String>,
    /// The most jobs of it that run at a time; `None` where nobody has said.
    pub max_running: Option<u32>,
    /// When it was added; `None` where nobody had to.
    pub created_at: Option<Timestamp>,
    /// Who added it.
    pub created_by: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Its keys in the database, oldest first, those that are good for nothing any more included.
    pub keys: Vec<Key>,
}

/// What is to become of an agent's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupChange {
    /// It is in exactly these.
    Set(BTreeSet<String>),
    /// Some come, and some go.
    Change {
        /// Those that come.
        add: BTreeSet<String>,
        /// Those that go.
        remove: BTreeSet<String>,
    },
}

/// What the end of an agent has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Revoked {
    /// Jobs that waited, and were cancelled.
    pub cancelled: usize,
    /// Keys.
    pub keys: usize,
    /// Schedules that were paused.
    pub schedules: usize,
    /// Jobs that run, and were told to stop.
    pub stopped: usize,
    /// Workflows whose further steps will not begin.
    pub workflows: usize,
}

impl Queue {
    /// The agent of that name with its groups; one that is not known, or was revoked, is in none.
    ///
    /// # Errors
    /// Database errors.
    pub fn subject(&self, agent: &str) -> Result<Subject, QueueError> {
        self.store.read(|connection| subject(connection, agent))
    }

    /// All agents by name, those that nobody had to add and those that were revoked included.
    ///
    /// # Errors
    /// Database errors.
    pub fn agents(&self) -> Result<Vec<Agent>, QueueError> {
        let now = self.clock.now();
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/agent_list.sql"))?;
            let rows = statement.query_map([], |row| Ok(StoredAgent::read(row)))?;
            let stored = rows
                .map(|row| row?)
                .collect::<Result<Vec<_>, QueueError>>()?;
            let untouched = BUILT_IN
                .into_iter()
                .filter(|name| stored.iter().all(|agent| agent.name != *name))
                .map(untouched);
            let mut agents: Vec<_> = untouched.collect();
            for agent in stored {
                let keys = keys(connection, &agent.name, now)?;
                agents.push(agent.into_agent(keys));
            }
            agents.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(agents)
        })
    }

    /// The agent of that name.
    ///
    /// # Errors
    /// [`QueueError::NoSuchAgent`]; database errors.
    pub fn agent(&self, name: &str) -> Result<Agent, QueueError> {
        let now = self.clock.now();
        self.store.read(|connection| {
            let Some(agent) = find(connection, name)? else {
                return groups_of_builtin(name)
                    .map(|_| untouched(name))
                    .ok_or_else(|| QueueError::NoSuchAgent(name.to_owned()));
            };
            let keys = keys(connection, name, now)?;
            Ok(agent.into_agent(keys))
        })
    }

    /// Adds an agent with its first key; answers when that ends. One that was revoked comes back without its old keys.
    ///
    /// # Errors
    /// [`QueueError::AgentExists`]; database errors.
    pub async fn add_agent(
        &self,
        agent: NewAgent,
        key: NewKey,
        by: &str,
    ) -> Result<Option<Timestamp>, QueueError> {
        let by = by.to_owned();
        self.store.write(c::AddAgent { agent, key, by }).await
    }

    /// Changes the groups of an agent; answers those that it is in then.
    ///
    /// # Errors
    /// [`QueueError::NoSuchAgent`], [`QueueError::AgentRevoked`], [`QueueError::OperatorStays`]; database errors.
    pub async fn change_groups(
        &self,
        agent: &str,
        change: GroupChange,
        by: &str,
    ) -> Result<BTreeSet<String>, QueueError> {
        let (agent, by) = (agent.to_owned(), by.to_owned());
        self.store
            .write(c::ChangeGroups { agent, change, by })
            .await
    }

    /// Changes how many jobs of an agent run at a time; `None` lifts the limit. What runs already goes on.
    ///
    /// # Errors
    /// [`QueueError::NoSuchAgent`], [`QueueError::AgentRevoked`]; database errors.
    pub async fn limit_running(
        &self,
        agent: &str,
        max_running: Option<u32>,
        by: &str,
    ) -> Result<(), QueueError> {
        let command = c::LimitRunning {
            agent: agent.to_owned(),
            max_running,
            by: by.to_owned(),
        };
        self.store.write(command).await
    }

    /// Revokes an agent: its keys and sessions end, its waiting jobs are cancelled, its schedules paused, no further step
    /// of its workflows begins, and what it has approved of still needs somebody else. What runs goes on, unless `stop`.
    ///
    /// # Errors
    /// [`QueueError::NoSuchAgent`], [`QueueError::AgentRevoked`]; database errors.
    pub async fn revoke_agent(
        &self,
        agent: &str,
        stop: bool,
        by: &str,
    ) -> Result<Revoked, QueueError> {
        let (agent, by) = (agent.to_owned(), by.to_owned());
        self.store.write(c::RevokeAgent { agent, stop, by }).await
    }
}

/// An agent's row.
#[derive(Debug)]
pub(super) struct StoredAgent {
    pub(super) name: String,
    pub(super) groups: BTreeSet<String>,
    pub(super) max_running: Option<u32>,
    created_at: Timestamp,
    created_by: String,
    pub(super) revoked_at: Option<Timestamp>,
}

impl StoredAgent {
    fn read(row: &Row<'_>) -> Result<Self, QueueError> {
        let name: String = row.get(0)?;
        let groups: String = row.get(1)?;
        let groups = serde_json::from_str(&groups)
            .map_err(|error| row::corrupt("agents", &name, &error.to_string()))?;
        Ok(Self {
            groups,
            max_running: row.get(2)?,
            created_at: Timestamp::from_millis(row.get(3)?),
            created_by: row.get(4)?,
            revoked_at: instant(row, 5)?,
            name,
        })
    }

    fn live_groups(self) -> BTreeSet<String> {
        match self.revoked_at {
            Some(_) => BTreeSet::new(),
            None => self.groups,
        }
    }

    fn into_agent(self, keys: Vec<Key>) -> Agent {
        let built_in = BUILT_IN.contains(&self.name.as_str());
        Agent {
            built_in,
            created_at: (!built_in).then_some(self.created_at),
            created_by: (!built_in).then_some(self.created_by),
            name: self.name,
            groups: self.groups,
            max_running: self.max_running,
            revoked_at: self.revoked_at,
            keys,
        }
    }
}

/// See [`Queue::subject`].
pub(super) fn subject(connection: &Connection, agent: &str) -> Result<Subject, QueueError> {
    let groups = find(connection, agent)?.map(StoredAgent::live_groups);
    Ok(Subject {
        agent: agent.to_owned(),
        groups: groups
            .or_else(|| groups_of_builtin(agent))
            .unwrap_or_default(),
    })
}

/// The row of that agent.
pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<StoredAgent>, QueueError> {
    connection
        .prepare_cached(include_str!("sql/agent_get.sql"))?
        .query_row([name], |row| Ok(StoredAgent::read(row)))
        .optional()?
        .transpose()
}

/// An agent that nobody had to add, and nobody has changed.
fn untouched(name: &str) -> Agent {
    Agent {
        name: name.to_owned(),
        built_in: true,
        groups: groups_of_builtin(name).unwrap_or_default(),
        max_running: None,
        created_at: None,
        created_by: None,
        revoked_at: None,
        keys: Vec::new(),
    }
}
