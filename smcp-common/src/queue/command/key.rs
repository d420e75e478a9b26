//! The keys of agents: made, replaced, revoked, seen. What is stored of one, and told to anybody, is never the key.

use std::time::Duration;

use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::json;

use super::{Command, Tx, agent};
use crate::clock::Timestamp;
use crate::queue::agents::find;
use crate::queue::{NewKey, QueueError, Rotated};

/// Gives an agent a new key in the place of those that it has.
#[derive(Debug)]
pub(in crate::queue) struct RotateKey {
    pub(in crate::queue) agent: String,
    pub(in crate::queue) key: NewKey,
    /// How long the others are still good; not at all where it is zero.
    pub(in crate::queue) overlap: Duration,
    pub(in crate::queue) by: String,
}

impl Command for RotateKey {
    type Answer = Rotated;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<Rotated, QueueError> {
        let Self {
            agent: name,
            key,
            overlap,
            by,
        } = self;
        agent::live(tx, name)?;
        let replaced = live(tx, name)?;
        let replaced_until = tx.now.plus(*overlap);
        for id in &replaced {
            if overlap.is_zero() {
                revoke(tx, name, id, by)?;
            } else {
                tx.execute(
                    include_str!("../sql/key_shorten.sql"),
                    params![id, replaced_until.as_millis()],
                )?;
            }
        }
        let expires_at = insert(tx, name, key)?;
        let replaces = Replaces {
            keys: &replaced,
            until: replaced_until,
        };
        created(tx, name, key, expires_at, Some(&replaces), by)?;
        Ok(Rotated {
            expires_at,
            replaced,
            replaced_until,
        })
    }
}

/// Revokes one key.
#[derive(Debug)]
pub(in crate::queue) struct RevokeKey {
    pub(in crate::queue) agent: String,
    pub(in crate::queue) key: String,
    pub(in crate::queue) by: String,
}

impl Command for RevokeKey {
    /// False where it was revoked before.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let Self {
            agent: name,
            key,
            by,
        } = self;
        if find(tx.connection, name)?.is_none() {
            return Err(QueueError::NoSuchAgent(name.clone()));
        }
        let exists: bool = tx
            .connection
            .prepare_cached(include_str!("../sql/key_exists.sql"))?
            .query_row([key, name], |row| row.get(0))?;
        if !exists {
            return Err(QueueError::NoSuchKey {
                agent: name.clone(),
                key: key.clone(),
            });
        }
        revoke(tx, name, key, by)
    }
}

/// Notes that a key has been shown.
#[derive(Debug)]
pub(in crate::queue) struct UseKey {
    pub(in crate::queue) id: String,
}

impl Command for UseKey {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let now = tx.now.as_millis();
        tx.execute(include_str!("../sql/key_used.sql"), params![self.id, now])?;
        Ok(())
    }
}

/// The keys that a new one takes the place of.
#[derive(Debug, Serialize)]
pub(super) struct Replaces<'k> {
    keys: &'k [String],
    until: Timestamp,
}

/// Stores a key; answers when it ends by itself.
pub(super) fn insert(
    tx: &Tx<'_>,
    agent: &str,
    key: &NewKey,
) -> Result<Option<Timestamp>, QueueError> {
    let expires_at = key.lifetime.map(|lifetime| tx.now.plus(lifetime));
    tx.execute(
        include_str!("../sql/key_insert.sql"),
        params![
            key.id,
            agent,
            key.digest,
            key.prefix,
            tx.now.as_millis(),
            expires_at.map(Timestamp::as_millis)
        ],
    )?;
    Ok(expires_at)
}

/// Records that a key was made; its id is all that is told of it.
pub(super) fn created(
    tx: &mut Tx<'_>,
    agent: &str,
    key: &NewKey,
    expires_at: Option<Timestamp>,
    replaces: Option<&Replaces<'_>>,
    by: &str,
) -> Result<(), QueueError> {
    let data =
        json!({"agent": agent, "expires_at": expires_at, "key": key.id, "replaces": replaces});
    tx.audit("key.created", by, None, &data)
}

/// Ends a key now; false where it was revoked before.
pub(super) fn revoke(tx: &mut Tx<'_>, agent: &str, id: &str, by: &str) -> Result<bool, QueueError> {
    let now = tx.now.as_millis();
    let revoked = tx.execute(
        include_str!("../sql/key_revoke.sql"),
        params![id, agent, now],
    )?;
    if revoked == 0 {
        return Ok(false);
    }
    tx.audit("key.revoked", by, None, &json!({"agent": agent, "key": id}))?;
    Ok(true)
}

/// The ids of the agent's keys that are good for something, oldest first.
pub(super) fn live(tx: &Tx<'_>, agent: &str) -> Result<Vec<String>, QueueError> {
    let mut statement = tx
        .connection
        .prepare_cached(include_str!("../sql/keys_live.sql"))?;
    let ids = statement.query_map(params![agent, tx.now.as_millis()], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Whether any key at all is good for something.
pub(in crate::queue) fn any_is_live(
    connection: &Connection,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(include_str!("../sql/key_any.sql"))?
        .query_row([now.as_millis()], |row| row.get(0))
}

/// Refuses what a revoked agent has asked for just before its end.
pub(super) fn refuse_revoked(tx: &Tx<'_>, agent: &str) -> Result<(), QueueError> {
    if is_revoked(tx, agent)? {
        return Err(QueueError::AgentRevoked(agent.to_owned()));
    }
    Ok(())
}

/// Whether that agent was revoked.
pub(super) fn is_revoked(tx: &Tx<'_>, agent: &str) -> Result<bool, QueueError> {
    Ok(tx
        .connection
        .prepare_cached(include_str!("../sql/agent_is_revoked.sql"))?
        .query_row([agent], |row| row.get(0))?)
}

/// Whether the agent of that job was revoked.
pub(super) fn of_revoked(tx: &Tx<'_>, job: i64) -> Result<bool, QueueError> {
    Ok(tx
        .connection
        .prepare_cached(include_str!("../sql/agent_of_job_is_revoked.sql"))?
        .query_row([job], |row| row.get(0))?)
}
