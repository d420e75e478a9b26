//! The rules in force, replaced as a whole.

use rusqlite::{Connection, params};
use serde::Serialize;

use super::{Command, Tx, json};
use crate::clock::Timestamp;
use crate::queue::{Accepted, NewPolicies, QueueError, row};

/// Puts rules in the place of those that were accepted last.
#[derive(Debug)]
pub(in crate::queue) struct AcceptPolicies {
    pub(in crate::queue) new: NewPolicies,
    pub(in crate::queue) by: String,
}

/// The details of a change.
#[derive(Debug, Serialize)]
struct Changed<'p> {
    files: Vec<&'p str>,
    new: &'p str,
    old: &'p str,
    zone: &'p str,
}

impl Command for AcceptPolicies {
    /// Whether they differ from those that were accepted last.
    type Answer = bool;

    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, QueueError> {
        let NewPolicies { hash, zone, files } = &self.new;
        let old = policies(tx.connection)?;
        // Another API may have read the same files. The texts are compared, too: positions are told of them.
        if old.version > 0 && old.hash == *hash && old.zone == *zone && old.files == *files {
            return Ok(false);
        }
        let text = json("policies", hash, files)?;
        tx.execute(
            include_str!("../sql/policy_set.sql"),
            params![hash, zone, text, tx.now.as_millis(), self.by],
        )?;
        tx.marks.rings = true;
        let data = Changed {
            files: files.iter().map(|file| file.name.as_str()).collect(),
            new: hash,
            old: &old.hash,
            zone,
        };
        tx.audit("policy.changed", &self.by, None, &data)?;
        Ok(true)
    }
}

pub(in crate::queue) fn policies(connection: &Connection) -> Result<Accepted, QueueError> {
    let mut statement = connection.prepare_cached(include_str!("../sql/policy_get.sql"))?;
    let (mut accepted, files) = statement.query_row([], |row| {
        let accepted = Accepted {
            version: row.get(0)?,
            hash: row.get(1)?,
            zone: row.get(2)?,
            files: Vec::new(),
            at: Timestamp::from_millis(row.get(4)?),
            by: row.get(5)?,
        };
        Ok((accepted, row.get::<_, String>(3)?))
    })?;
    accepted.files = serde_json::from_str(&files)
        .map_err(|error| row::corrupt("policies", &accepted.hash, &error.to_string()))?;
    Ok(accepted)
}
