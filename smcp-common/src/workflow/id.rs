//! The public name of a workflow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::job::JobId;

/// A workflow's id: a UUID version 7 in its hyphenated text form, as those of jobs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkflowId(String);

/// A text that is not a workflow's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a workflow's id: a UUID such as 019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55 is expected"
)]
pub struct InvalidWorkflowId(String);

impl WorkflowId {
    /// An id nobody has used, which sorts by its instant and cannot be guessed.
    pub fn random() -> Self {
        Self(JobId::random().into())
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkflowId {
    type Err = InvalidWorkflowId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Uuid::parse_str(text.trim()) {
            Ok(id) => Ok(Self(id.to_string())),
            Err(_) => Err(InvalidWorkflowId(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for WorkflowId {
    type Error = InvalidWorkflowId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<WorkflowId> for String {
    fn from(id: WorkflowId) -> Self {
        id.0
    }
}

impl fmt::Display for WorkflowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WorkflowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
