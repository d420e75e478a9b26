//! Why a call was not carried out, in words for the caller. Never a row, a path of ours or a stack.

use rmcp::ErrorData;
use serde_json::{Value, json};
use smcp_common::job::code;
use smcp_common::limit::Exceeded;
use smcp_common::queue::QueueError;
use smcp_common::sentence::sentence;

/// An error that a caller reads.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// A stable `snake_case` code.
    pub code: &'static str,
    /// What is wrong, where, and what can be done.
    pub message: String,
    /// Further fields for programs, beside `code` and `message`.
    pub details: Option<Value>,
}

impl Refusal {
    /// A refusal of that code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
        }
    }

    /// Arguments that do not fit.
    pub fn invalid_arguments(message: impl Into<String>) -> Self {
        Self::new("invalid_arguments", message)
    }

    /// A job that does not exist, or belongs to somebody else.
    pub fn no_such_job(id: &str) -> Self {
        Self::new("no_such_job", format!("There is no job {id}."))
    }

    /// A limit of a rule that admits no more calls for now.
    fn limit_exceeded(exceeded: &Exceeded) -> Self {
        let Exceeded {
            limit, frees_at, ..
        } = exceeded;
        Self {
            code: code::LIMIT_EXCEEDED,
            message: format!("{} Nothing has been run.", sentence(exceeded)),
            details: Some(json!({
                "rule": limit.rule,
                "limit": limit.kind,
                "frees_at": frees_at.to_string(),
                "retry_after_s": exceeded.wait_s(),
            })),
        }
    }

    /// The form of a failure where there is no tool whose answer it could be: JSON-RPC's internal error.
    pub fn to_protocol_error(&self) -> ErrorData {
        ErrorData::internal_error(self.message.clone(), None)
    }

    /// The JSON form: `{"error": {"code", "message", …}}`.
    pub fn to_json(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(Value::Object(details)) = &self.details {
            for (key, value) in details {
                error[key] = value.clone();
            }
        }
        json!({ "error": error })
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        match &error {
            QueueError::IdempotencyConflict { job, .. } => {
                let details = Some(json!({ "job": job }));
                Self {
                    code: "idempotency_conflict",
                    message: sentence(&error),
                    details,
                }
            }
            QueueError::LimitExceeded(exceeded) => Self::limit_exceeded(exceeded),
            QueueError::NoSuchJob(job) => Self::no_such_job(job.as_str()),
            QueueError::NoSuchSchedule(_) => Self::new("no_such_schedule", sentence(&error)),
            QueueError::NoSuchAgent(_) => Self::new("no_such_agent", sentence(&error)),
            QueueError::AgentExists(_) => Self::new("agent_exists", sentence(&error)),
            QueueError::AgentRevoked(_) => Self::new("agent_revoked", sentence(&error)),
            QueueError::NoSuchKey { .. } => Self::new("no_such_key", sentence(&error)),
            QueueError::OperatorStays => Self::new("operator_stays", sentence(&error)),
            QueueError::ScheduleExists(_) => Self::new("schedule_exists", sentence(&error)),
            QueueError::Secret(error) => {
                // What somebody has to do about it is in the error.
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "secrets cannot be used"
                );
                Self::new("secret_unreadable", sentence(&error))
            }
            QueueError::Busy => Self::new(
                "busy",
                "The database is busy; nothing has been recorded. Try again.",
            ),
            QueueError::DiskFull => {
                let message =
                    "The disk that holds the database is full; nothing has been recorded.";
                Self::new("disk_full", message)
            }
            QueueError::LeaseLost { .. }
            | QueueError::Vanished(_)
            | QueueError::Corrupt { .. }
            | QueueError::Illegal(_)
            | QueueError::Closed
            | QueueError::Panicked
            | QueueError::Database(_) => {
                // The one place where such an error leaves the program: logged here with its causes, not told outside.
                tracing::error!(error = &error as &dyn std::error::Error, "a call failed");
                Self::new(
                    "internal_error",
                    "SMCP could not do this; its log has the details.",
                )
            }
        }
    }
}
