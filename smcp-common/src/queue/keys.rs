//! The keys of agents: whom each stands for, and how long.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::command as c;
use super::sqlite::read_existing;
use super::{OpenError, Queue, QueueError};
use crate::clock::Timestamp;
use crate::job::Entrance;

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

impl Queue {
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

    /// Records that a request was refused, with `code`, that names no agent. Whoever records must see to it that strangers
    /// cannot fill the disk by asking.
    ///
    /// # Errors
    /// Database errors.
    pub async fn record_stranger(
        &self,
        entrance: Entrance,
        code: &'static str,
    ) -> Result<(), QueueError> {
        self.store.write(c::RefuseStranger { entrance, code }).await
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
}

/// Whether any key in the database at `path` lets anybody in, asked before anything is made of that file.
///
/// # Errors
/// [`OpenError`] where there is no such database, or one of another version.
pub fn any_key_is_live(path: &Path, now: Timestamp) -> Result<bool, OpenError> {
    read_existing(path, |connection| c::any_is_live(connection, now))
}

/// The keys of that agent, oldest first.
pub(super) fn keys(
    connection: &Connection,
    agent: &str,
    now: Timestamp,
) -> Result<Vec<Key>, QueueError> {
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

pub(super) fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let at: Option<i64> = row.get(column)?;
    Ok(at.map(Timestamp::from_millis))
}
