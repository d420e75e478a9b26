//! The rules in force: accepted by an API, read by every process.

use super::command as c;
use super::{Queue, QueueError};
use crate::clock::Timestamp;
use crate::policy::RuleFile;

/// The rules that were accepted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Grows with every change; 0 where no API has accepted any yet.
    pub version: i64,
    /// The hash of their meaning; empty where no API has accepted any yet.
    pub hash: String,
    /// The zone of weekdays and times of day.
    pub zone: String,
    /// The files of the operator's rules, by name.
    pub files: Vec<RuleFile>,
    /// When they were accepted.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// Rules that have been checked, to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicies {
    /// The hash of their meaning.
    pub hash: String,
    /// The zone of weekdays and times of day.
    pub zone: String,
    /// The files of the operator's rules, by name.
    pub files: Vec<RuleFile>,
}

/// What rules are made of: they are to be made ready again where it differs from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyState {
    /// The version of the rules.
    pub rules: i64,
    /// The version of the catalogue.
    pub catalogue: i64,
}

impl Queue {
    /// The rules that were accepted last.
    ///
    /// # Errors
    /// Database errors.
    pub fn policies(&self) -> Result<Accepted, QueueError> {
        self.store.read(c::policies)
    }

    /// The hash of the rules that were accepted last: to know whether a decision is by the rules in force, without making them
    /// ready to be asked.
    ///
    /// # Errors
    /// Database errors.
    pub fn policy_hash(&self) -> Result<String, QueueError> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(include_str!("sql/policy_hash.sql"))?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
    }

    /// What rules are made of, to know whether they have to be made ready again.
    ///
    /// # Errors
    /// Database errors.
    pub fn policy_state(&self) -> Result<PolicyState, QueueError> {
        self.store.read(|connection| {
            let mut statement =
                connection.prepare_cached(include_str!("sql/catalogue_state.sql"))?;
            Ok(statement.query_row([], |row| {
                Ok(PolicyState {
                    rules: row.get(6)?,
                    catalogue: row.get(2)?,
                })
            })?)
        })
    }

    /// Puts rules in the place of those that were accepted last; answers whether they differ from those. `by` is who does it.
    ///
    /// # Errors
    /// Database errors.
    pub async fn accept_policies(&self, new: NewPolicies, by: &str) -> Result<bool, QueueError> {
        let by = by.to_owned();
        self.store.write(c::AcceptPolicies { new, by }).await
    }
}
