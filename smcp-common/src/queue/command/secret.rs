//! Secrets: set, removed, and sealed under another key.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::hold::Held;
use super::{Command, Tx};
use crate::key_file::Key;
use crate::queue::{Hold, QueueError, SecretsRotated};
use crate::secret::{KeyId, Keys, Plain, Purpose, SecretError, Vault};

/// The vault in which everything is sealed; a new one where nothing is.
pub(super) fn vault(tx: &Tx<'_>) -> Result<Arc<Vault>, QueueError> {
    match vault_of(tx.connection, tx.keys) {
        Ok(Some(vault)) => return Ok(vault),
        Ok(None) => {}
        // A lost key does no harm where there is nothing that it would open.
        Err(QueueError::Secret(error)) => {
            let is_needed: bool = tx
                .connection
                .prepare_cached(include_str!("../sql/secrets_key_is_needed.sql"))?
                .query_row([], |row| row.get(0))?;
            if is_needed {
                return Err(error.into());
            }
        }
        Err(error) => return Err(error),
    }
    let vault = tx.keys.new_vault()?;
    put_key(tx, &vault)?;
    Ok(vault)
}

/// The vault in which everything is sealed; `None` where nothing is.
pub(in crate::queue) fn vault_of(
    connection: &Connection,
    keys: &Keys,
) -> Result<Option<Arc<Vault>>, QueueError> {
    let stored: Option<([u8; 8], Vec<u8>)> = connection
        .prepare_cached(include_str!("../sql/secrets_key_get.sql"))?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, digest_key)) = stored else {
        return Ok(None);
    };
    Ok(Some(keys.vault(KeyId::from_bytes(id), &digest_key)?))
}

fn put_key(tx: &Tx<'_>, vault: &Vault) -> Result<(), QueueError> {
    tx.execute(
        include_str!("../sql/secrets_key_put.sql"),
        params![
            vault.id().as_bytes(),
            vault.sealed_digest_key(),
            tx.now.as_millis()
        ],
    )?;
    Ok(())
}

#[derive(Debug)]
pub(in crate::queue) struct SetSecret {
    pub(in crate::queue) name: String,
    /// The agent, or nothing for everybody.
    pub(in crate::queue) scope: String,
    pub(in crate::queue) value: Plain,
    pub(in crate::queue) by: String,
}

/// Which secret was changed; never its value.
#[derive(Debug, Serialize)]
struct Changed<'s> {
    name: &'s str,
    scope: &'s str,
}

impl Command for SetSecret {
    /// Whether it is a new one.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let Self {
            name,
            scope,
            value,
            by,
        } = self;
        put(tx, &Changed { name, scope }, value, by, None)
    }
}

/// Stores a secret that a running attempt has handed over, for the calls of its agent.
#[derive(Debug)]
pub(in crate::queue) struct KeepSecret {
    pub(in crate::queue) hold: Hold,
    pub(in crate::queue) name: String,
    pub(in crate::queue) value: Plain,
}

impl Command for KeepSecret {
    /// Whether it is a new one.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let Self { hold, name, value } = self;
        let held = Held::find(tx, hold)?;
        let scope: String = tx
            .connection
            .prepare_cached(include_str!("../sql/job_agent.sql"))?
            .query_row([held.num], |row| row.get(0))?;
        let by = format!("worker:{}", hold.worker);
        let what = Changed {
            name,
            scope: &scope,
        };
        put(tx, &what, value, &by, Some(hold.job.as_str()))
    }
}

/// Stores a value; answers whether it is a new one.
fn put(
    tx: &mut Tx<'_>,
    what: &Changed<'_>,
    value: &Plain,
    by: &str,
    job: Option<&str>,
) -> Result<bool, QueueError> {
    let Changed { name, scope } = *what;
    let vault = vault(tx)?;
    let known: Option<i64> = tx
        .connection
        .prepare_cached(include_str!("../sql/secret_version.sql"))?
        .query_row([name, scope], |row| row.get(0))
        .optional()?;
    let version = known.map_or(1, |version| version + 1);
    let purpose = Purpose::Secret {
        name,
        scope,
        version,
    };
    let sealed = vault.seal(purpose, value.reveal().as_bytes());
    tx.execute(
        include_str!("../sql/secret_set.sql"),
        params![name, scope, version, sealed, tx.now.as_millis(), by],
    )?;
    tx.audit("secret.set", by, job, what)?;
    Ok(known.is_none())
}

#[derive(Debug)]
pub(in crate::queue) struct RemoveSecret {
    pub(in crate::queue) name: String,
    pub(in crate::queue) scope: String,
    pub(in crate::queue) by: String,
}

impl Command for RemoveSecret {
    /// False where there is none.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let Self { name, scope, by } = self;
        let removed = tx.execute(include_str!("../sql/secret_delete.sql"), [name, scope])?;
        if removed == 0 {
            return Ok(false);
        }
        tx.audit("secret.removed", by, None, &Changed { name, scope })?;
        Ok(true)
    }
}

/// Seals everything under another key.
#[derive(Debug)]
pub(in crate::queue) struct RotateSecretsKey {
    pub(in crate::queue) key: Key,
    pub(in crate::queue) by: String,
}

/// The ids tell the keys apart, and nothing of them.
#[derive(Debug, Serialize)]
struct KeyRotated {
    new: String,
    old: String,
    secrets: usize,
}

impl Command for RotateSecretsKey {
    type Answer = SecretsRotated;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<SecretsRotated, QueueError> {
        let old = vault(tx)?;
        let new = old.under(self.key.clone());
        let secrets = reseal_secrets(tx, &old, &new)?;
        let jobs = reseal_arguments(tx, &old, &new)?;
        put_key(tx, &new)?;
        let data = KeyRotated {
            new: new.id().to_string(),
            old: old.id().to_string(),
            secrets,
        };
        tx.audit("secrets.key_rotated", &self.by, None, &data)?;
        Ok(SecretsRotated {
            old: data.old,
            new: data.new,
            secrets,
            jobs,
        })
    }
}

fn reseal_secrets(tx: &Tx<'_>, old: &Vault, new: &Vault) -> Result<usize, QueueError> {
    let all: Vec<(String, String, i64, Vec<u8>)> = tx
        .connection
        .prepare_cached(include_str!("../sql/secret_all.sql"))?
        .query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (name, scope, version, sealed) in &all {
        let purpose = Purpose::Secret {
            name,
            scope,
            version: *version,
        };
        let sealed = new.seal(purpose, &old.open(purpose, sealed)?);
        tx.execute(
            include_str!("../sql/secret_reseal.sql"),
            params![name, scope, sealed],
        )?;
    }
    Ok(all.len())
}

/// One job after the other, as all of them may be more than memory holds.
fn reseal_arguments(tx: &Tx<'_>, old: &Vault, new: &Vault) -> Result<usize, QueueError> {
    let mut next = tx
        .connection
        .prepare_cached(include_str!("../sql/sealed_arguments_next.sql"))?;
    let (mut after, mut resealed) = (i64::MIN, 0);
    while let Some((num, job, sealed)) = next
        .query_row([after], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Vec<u8>>(2)?,
            ))
        })
        .optional()?
    {
        after = num;
        let purpose = Purpose::Arguments { job: &job };
        let opened = match old.open(purpose, &sealed) {
            Ok(opened) => opened,
            // Of a key that was lost, and that nobody needed any more.
            Err(SecretError::Damaged { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        tx.execute(
            include_str!("../sql/sealed_arguments_put.sql"),
            params![num, new.seal(purpose, &opened)],
        )?;
        resealed += 1;
    }
    Ok(resealed)
}
