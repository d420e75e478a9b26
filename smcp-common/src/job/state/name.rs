//! The states of a job by name, as stored and shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a state, as stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// See [`State::AwaitingApproval`](super::State::AwaitingApproval).
    AwaitingApproval,
    /// See [`State::Queued`](super::State::Queued).
    Queued,
    /// See [`State::Running`](super::State::Running).
    Running,
    /// See [`State::Succeeded`](super::State::Succeeded).
    Succeeded,
    /// See [`State::Failed`](super::State::Failed).
    Failed,
    /// See [`State::Cancelled`](super::State::Cancelled).
    Cancelled,
    /// See [`State::OutcomeUnknown`](super::State::OutcomeUnknown).
    OutcomeUnknown,
    /// See [`State::Denied`](super::State::Denied).
    Denied,
    /// See [`State::Expired`](super::State::Expired).
    Expired,
}

impl StateName {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 9] = [
        Self::AwaitingApproval,
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::OutcomeUnknown,
        Self::Denied,
        Self::Expired,
    ];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }

    /// True when nothing more happens to the job by itself.
    pub const fn is_final(self) -> bool {
        match self {
            Self::AwaitingApproval | Self::Queued | Self::Running => false,
            Self::Succeeded
            | Self::Failed
            | Self::Cancelled
            | Self::OutcomeUnknown
            | Self::Denied
            | Self::Expired => true,
        }
    }

    /// True while no worker has the job, and it has not ended: there is a reason that it waits for.
    pub const fn is_waiting(self) -> bool {
        match self {
            Self::AwaitingApproval | Self::Queued => true,
            Self::Running
            | Self::Succeeded
            | Self::Failed
            | Self::Cancelled
            | Self::OutcomeUnknown
            | Self::Denied
            | Self::Expired => false,
        }
    }

    /// The state of that stored text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
