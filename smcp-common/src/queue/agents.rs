//! Agents and their keys.

use super::{Queue, QueueError};
use crate::agent::groups_of_builtin;
use crate::policy::Subject;

impl Queue {
    /// The agent of that name with its groups; one that is not known is in none.
    ///
    /// # Errors
    /// Database errors.
    pub fn subject(&self, agent: &str) -> Result<Subject, QueueError> {
        Ok(Subject {
            agent: agent.to_owned(),
            groups: groups_of_builtin(agent).unwrap_or_default(),
        })
    }
}
