//! Secrets: what operators set, and what calls get.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde_json::{Map, Value};

use super::command as c;
use super::{Hold, Queue, QueueError, row};
use crate::clock::Timestamp;
use crate::job::Claimed;
use crate::secret::{KeyId, Plain, Purpose};

/// A stored secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredSecret {
    /// Its name.
    pub name: String,
    /// The agent whose calls get it; `None` for everybody's.
    pub agent: Option<String>,
    /// How often it has been set.
    pub version: i64,
    /// When it was set first.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was set last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
}

/// What came of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretsRotated {
    /// The id of the key before.
    pub old: String,
    /// The id of the key since.
    pub new: String,
    /// Secrets that have been encrypted anew.
    pub secrets: usize,
    /// Jobs whose secret arguments have been.
    pub jobs: usize,
}

impl Queue {
    /// Sets a secret for one agent, or with `None` for everybody. Name and value have been checked
    /// ([`check_name`](crate::secret::check_name), [`check_value`](crate::secret::check_value)). True where it is a new
    /// one.
    ///
    /// # Errors
    /// [`QueueError::Secret`] where the key cannot be used; database errors.
    pub async fn set_secret(
        &self,
        name: &str,
        agent: Option<&str>,
        value: Plain,
        by: &str,
    ) -> Result<bool, QueueError> {
        let command = c::SetSecret {
            name: name.to_owned(),
            scope: agent.unwrap_or_default().to_owned(),
            value,
            by: by.to_owned(),
        };
        self.store.write(command).await
    }

    /// Sets a secret that a running attempt has handed over, for the calls of its agent. Name and value have been checked.
    /// True where it is a new one.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`]; [`QueueError::Secret`] where the key cannot be used; database errors.
    pub async fn keep_secret(
        &self,
        hold: &Hold,
        name: &str,
        value: Plain,
    ) -> Result<bool, QueueError> {
        let command = c::KeepSecret {
            hold: hold.clone(),
            name: name.to_owned(),
            value,
        };
        self.store.write(command).await
    }

    /// Removes a secret of exactly that scope; false where there is none. No key is needed for it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn remove_secret(
        &self,
        name: &str,
        agent: Option<&str>,
        by: &str,
    ) -> Result<bool, QueueError> {
        let command = c::RemoveSecret {
            name: name.to_owned(),
            scope: agent.unwrap_or_default().to_owned(),
            by: by.to_owned(),
        };
        self.store.write(command).await
    }

    /// The stored secrets by name, everybody's before those of agents.
    ///
    /// # Errors
    /// Database errors.
    pub fn secrets(&self) -> Result<Vec<StoredSecret>, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/secret_list.sql"))?;
            let rows = statement.query_map([], |row| {
                let agent: String = row.get(1)?;
                Ok(StoredSecret {
                    name: row.get(0)?,
                    agent: (!agent.is_empty()).then_some(agent),
                    version: row.get(2)?,
                    created_at: Timestamp::from_millis(row.get(3)?),
                    created_by: row.get(4)?,
                    updated_at: Timestamp::from_millis(row.get(5)?),
                    updated_by: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The value of a secret for a call of `agent`: its own before everybody's; `None` where there is neither.
    ///
    /// # Errors
    /// [`QueueError::Secret`] where it cannot be opened; database errors.
    pub fn secret_for(&self, agent: &str, name: &str) -> Result<Option<Plain>, QueueError> {
        self.store.read(|connection| {
            let found: Option<(String, i64, Vec<u8>)> = connection
                .prepare_cached(include_str!("sql/secret_find.sql"))?
                .query_row(params![name, agent], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()?;
            let Some((scope, version, sealed)) = found else {
                return Ok(None);
            };
            let Some(vault) = c::vault_of(connection, self.store.keys())? else {
                return Err(row::corrupt("secrets_key", "1", "it is not there"));
            };
            let purpose = Purpose::Secret {
                name,
                scope: &scope,
                version,
            };
            let text = vault.open_text(purpose, &sealed)?;
            Ok(Some(Plain::new(text.as_str().to_owned())))
        })
    }

    /// The secret arguments of a claimed job; none where it has none.
    ///
    /// # Errors
    /// [`QueueError::Secret`] where they cannot be opened; database errors.
    pub fn open_arguments(&self, job: &Claimed) -> Result<Map<String, Value>, QueueError> {
        let Some(sealed) = &job.sealed else {
            return Ok(Map::new());
        };
        self.store.read(|connection| {
            let Some(vault) = c::vault_of(connection, self.store.keys())? else {
                return Err(row::corrupt("secrets_key", "1", "it is not there"));
            };
            let purpose = Purpose::Arguments {
                job: job.id.as_str(),
            };
            let text = vault.open_text(purpose, sealed)?;
            row::object("jobs", job.id.as_str(), &text)
        })
    }

    /// Replaces the key of the secrets by a new one, under which everything is encrypted anew. Whatever interrupts it, the
    /// key in force is in the file or beside it.
    ///
    /// # Errors
    /// [`QueueError::Secret`] where a key cannot be used or written; database errors.
    pub async fn rotate_secrets_key(&self, by: &str) -> Result<SecretsRotated, QueueError> {
        let rotation = self.store.keys().rotation()?;
        rotation.settle(self.secrets_key()?)?;
        let command = c::RotateSecretsKey {
            key: rotation.prepare()?,
            by: by.to_owned(),
        };
        let rotated = self.store.write(command).await;
        // Whether it has been committed tells the database.
        rotation.settle(self.secrets_key()?)?;
        rotated
    }

    fn secrets_key(&self) -> Result<Option<KeyId>, QueueError> {
        self.store.read(|connection| {
            let id = connection
                .prepare_cached(include_str!("sql/secrets_key_get.sql"))?
                .query_row([], |row| row.get(0))
                .optional()?;
            Ok(id.map(KeyId::from_bytes))
        })
    }
}
