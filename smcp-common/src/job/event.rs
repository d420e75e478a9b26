//! The news of a job, in the order in which they happened.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::JobId;
use crate::clock::Timestamp;

/// What kind of news it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was recorded; data: `run_at`.
    Queued,
    /// It needs somebody's approval; data: `groups`, `approvals`, `expires_at`.
    ApprovalRequested,
    /// Somebody approved of it, or did not; data: `by`, `voice`, `reason`, `given`, `approvals`.
    ApprovalVoted,
    /// An attempt began; data: `attempt`, `worker`.
    Started,
    /// The plugin reported progress; data: `progress`, `total`, `message` (each may be absent).
    Progress,
    /// A line on the plugin's standard error; data: `message`.
    Log,
    /// Standard output grew; data: `bytes` (the total so far).
    Output,
    /// Somebody asked to stop it; data: `by`, `reason`.
    CancelRequested,
    /// An attempt ended and the job goes on; data: `attempt`, `reason`.
    Requeued,
    /// The job ended; data: `state`.
    Finished,
}

impl EventKind {
    const ALL: [Self; 10] = [
        Self::Queued,
        Self::ApprovalRequested,
        Self::ApprovalVoted,
        Self::Started,
        Self::Progress,
        Self::Log,
        Self::Output,
        Self::CancelRequested,
        Self::Requeued,
        Self::Finished,
    ];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::ApprovalRequested => "approval_requested",
            Self::ApprovalVoted => "approval_voted",
            Self::Started => "started",
            Self::Progress => "progress",
            Self::Log => "log",
            Self::Output => "output",
            Self::CancelRequested => "cancel_requested",
            Self::Requeued => "requeued",
            Self::Finished => "finished",
        }
    }

    /// The kind of that stored text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One piece of news, as stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobEvent {
    /// Its number over all jobs; grows, never reused.
    pub seq: i64,
    /// The job it is about.
    pub job: JobId,
    /// When it happened.
    pub at: Timestamp,
    /// What kind it is.
    pub kind: EventKind,
    /// What [`EventKind`] says of it.
    pub data: Value,
}

/// What a running attempt has to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Progress reported by the plugin, as `progress`, `total`, `message`.
    Progress(Value),
    /// A line on standard error.
    Log(String),
    /// More of standard output.
    Output(Vec<u8>),
}
