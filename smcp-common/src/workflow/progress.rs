//! How far a workflow has come.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::job::{Failure, JobId, StateName};

/// The codes of failures that only steps and workflows have; a step has that of its job else.
pub mod code {
    /// A reference led nowhere when its step was to begin.
    pub const UNRESOLVED_REFERENCE: &str = "unresolved_reference";
    /// Too few checks succeeded, or too late.
    pub const VERIFICATION_FAILED: &str = "verification_failed";
    /// A step failed, and the workflow with it.
    pub const STEP_FAILED: &str = "step_failed";
    /// Somebody cancelled the workflow.
    pub const WORKFLOW_CANCELLED: &str = "workflow_cancelled";
}

/// Where a workflow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowState {
    /// Not ended.
    Running,
    /// Every step ended well, or was allowed not to.
    Succeeded,
    /// A step failed.
    Failed,
    /// It was cancelled before it had ended.
    Cancelled,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// For what it needs.
    Waiting,
    /// It has a job.
    Running,
    /// Its job has succeeded, and checks are made.
    Verifying,
    /// It ended well.
    Succeeded,
    /// It did not.
    Failed,
    /// It will not begin.
    Skipped,
    /// It was stopped with its workflow.
    Cancelled,
}

/// All that decides what follows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Somebody asks for the workflow to be stopped.
    pub cancelled: bool,
    /// The steps, in the order of the definition.
    pub steps: Vec<StepProgress>,
}

/// How far a step has come.
#[derive(Debug, Clone, PartialEq)]
pub struct StepProgress {
    /// Where it stands, as last recorded.
    pub state: StepState,
    /// Its job, once it has begun.
    pub job: Option<StepJob>,
    /// Its checks, first to last.
    pub checks: Vec<Check>,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// The job of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepJob {
    /// Its id.
    pub id: JobId,
    /// How it ended; `None` while it has not.
    pub end: Option<JobEnd>,
}

/// The end of a step's job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEnd {
    /// When it was.
    pub at: Timestamp,
    /// Its final state.
    pub state: StateName,
    /// Why it failed.
    pub error: Option<Failure>,
    /// What it printed, as a value, or why there is none.
    pub result: Result<Value, String>,
}

/// One check of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its job.
    pub job: JobId,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When and in which state its job ended; `None` while it has not.
    pub end: Option<(Timestamp, StateName)>,
}

impl WorkflowState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that stored text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl StepState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Running,
        Self::Verifying,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that stored text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing follows.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Waiting | Self::Running | Self::Verifying => false,
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled => true,
        }
    }
}

impl Default for StepProgress {
    /// A step that has not begun.
    fn default() -> Self {
        Self {
            state: StepState::Waiting,
            job: None,
            checks: Vec::new(),
            error: None,
        }
    }
}
