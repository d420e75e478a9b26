//! Agents, their groups and their keys: who is added, and whom a key stands for.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::command as c;
use super::sqlite::read_existing;
use super::{OpenError, Queue, QueueError, row};
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

/// A key that is to be stored: all but the key itself.
#[derive(Clone)]
pub struct NewKey {
    /// Its id, by which people speak of it.
    pub id: String,
    /// The SHA-256 of the key.
    pub digest: [u8; 32],
    /// What lists show of it.
    pub prefix: String,
    /// How long it is good for; `None` means until it is revoked.
    pub lifetime: Option<Duration>,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey")
            .field("id", &self.id)
            .field("digest", &format_args!("***"))
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
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

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// How it begins.
    pub prefix: String,
    /// Whether it lets anybody in.
    pub live: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last shown, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// Whom a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The agent.
    pub agent: String,
    /// The key's id.
    pub key: String,
    /// When the key was last shown, as far as that has been noted.
    pub last_used_at: Option<Timestamp>,
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

/// What came of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// When the new key ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The ids of the keys that it takes the place of.
    pub replaced: Vec<String>,
    /// Until when those are good at the most.
    pub replaced_until: Timestamp,
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
        let groups = self
            .store
            .read(|connection| Ok(find(connection, agent)?.map(StoredAgent::live_groups)))?;
        Ok(Subject {
            agent: agent.to_owned(),
            groups: groups
                .or_else(|| groups_of_builtin(agent))
                .unwrap_or_default(),
        })
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

    /// Whom the key with that SHA-256 stands for; `None` where there is no such key, or it is good for nothing any more.
    ///
    /// # Errors
    /// Database errors.
    pub fn bearer(&self, digest: &[u8; 32]) -> Result<Option<Bearer>, QueueError> {
        let now = self.clock.now().as_millis();
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/key_bearer.sql"))?
                .query_row(params![digest, now], |row| {
                    Ok(Bearer {
                        key: row.get(0)?,
                        agent: row.get(1)?,
                        last_used_at: instant(row, 2)?,
                    })
                })
                .optional()?)
        })
    }

    /// Whether the key of that id is good for something.
    ///
    /// # Errors
    /// Database errors.
    pub fn key_is_live(&self, id: &str) -> Result<bool, QueueError> {
        let now = self.clock.now().as_millis();
        self.store.read(|connection| {
            Ok(connection
                .prepare_cached(include_str!("sql/key_is_live.sql"))?
                .query_row(params![id, now], |row| row.get(0))?)
        })
    }

    /// Notes that a key has been shown. That is no change of anybody's rights, and leaves no audit record.
    ///
    /// # Errors
    /// Database errors.
    pub async fn note_key_use(&self, id: &str) -> Result<(), QueueError> {
        self.store.write(c::UseKey { id: id.to_owned() }).await
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

    /// Gives an agent a new key; those that it has are good for `overlap` more, or not at all where that is zero.
    ///
    /// # Errors
    /// [`QueueError::NoSuchAgent`], [`QueueError::AgentRevoked`]; database errors.
    pub async fn rotate_key(
        &self,
        agent: &str,
        key: NewKey,
        overlap: Duration,
        by: &str,
    ) -> Result<Rotated, QueueError> {
        let command = c::RotateKey {
            agent: agent.to_owned(),
            key,
            overlap,
            by: by.to_owned(),
        };
        self.store.write(command).await
    }

    /// Revokes one key of an agent; false where it was revoked already.
    ///
    /// # Errors
    /// [`QueueError::NoSuchAgent`], [`QueueError::NoSuchKey`]; database errors.
    pub async fn revoke_key(&self, agent: &str, key: &str, by: &str) -> Result<bool, QueueError> {
        let command = c::RevokeKey {
            agent: agent.to_owned(),
            key: key.to_owned(),
            by: by.to_owned(),
        };
        self.store.write(command).await
    }

    /// Revokes an agent: its keys and sessions end, its waiting jobs are cancelled, its schedules paused, and no further
    /// step of its workflows begins. What runs goes on, unless `stop`.
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

/// Whether any key in the database at `path` lets anybody in, asked before anything is made of that file.
///
/// # Errors
/// [`OpenError`] where there is no such database, or one of another version.
pub fn any_key_is_live(path: &Path, now: Timestamp) -> Result<bool, OpenError> {
    read_existing(path, |connection| c::any_is_live(connection, now))
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

fn keys(connection: &Connection, agent: &str, now: Timestamp) -> Result<Vec<Key>, QueueError> {
    let mut statement = connection.prepare_cached(include_str!("sql/key_list.sql"))?;
    let rows = statement.query_map([agent], |row| {
        let (expires_at, revoked_at) = (instant(row, 3)?, instant(row, 4)?);
        Ok(Key {
            id: row.get(0)?,
            prefix: row.get(1)?,
            live: revoked_at.is_none() && expires_at.is_none_or(|at| at > now),
            created_at: Timestamp::from_millis(row.get(2)?),
            expires_at,
            revoked_at,
            last_used_at: instant(row, 5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let at: Option<i64> = row.get(column)?;
    Ok(at.map(Timestamp::from_millis))
}
