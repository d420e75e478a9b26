//! How an attempt ended. What a plugin does is data, never an error of ours.

use serde::{Deserialize, Serialize};

use super::{Advice, Again, Event, RetryOn};
use crate::approval;

/// The end of an attempt, as the worker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The plugin exited with status 0; its answer is its standard output.
    Succeeded,
    /// It did not.
    Failed {
        /// Why.
        failure: Failure,
        /// What the plugin says of another attempt.
        advice: Advice,
    },
    /// It asks to be run again later, which is no failure.
    Snoozed {
        /// After so many milliseconds.
        after_ms: u64,
    },
    /// It was stopped because somebody had asked for it.
    Stopped,
    /// The worker gives it back without having begun.
    Released,
    /// The worker was told to stop at once and killed it half-way.
    Interrupted,
    /// What was approved of is not what would have run: it is asked for anew, and nothing has begun.
    ApprovalVoided(Box<approval::Request>),
}

/// Why an attempt failed, in words for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable `snake_case` code; see [`code`].
    pub code: String,
    /// One or more sentences for the caller.
    pub message: String,
}

/// The codes of failures.
pub mod code {
    /// The plugin exited with a status other than 0, or by a signal.
    pub const PLUGIN_ERROR: &str = "plugin_error";
    /// Its arguments cannot be passed to it.
    pub const INVALID_ARGUMENTS: &str = "invalid_arguments";
    /// It ran longer than its limit.
    pub const TIMEOUT: &str = "timeout";
    /// Its files are gone or cannot be started.
    pub const PLUGIN_NOT_FOUND: &str = "plugin_not_found";
    /// Its files are not those that an operator has accepted, so that it was not run.
    pub const PLUGIN_QUARANTINED: &str = "plugin_quarantined";
    /// The machine cannot hold the plugin to its sandbox as is required, so that it was not run.
    pub const SANDBOX_UNAVAILABLE: &str = "sandbox_unavailable";
    /// A secret that it needs is not set.
    pub const SECRET_MISSING: &str = "secret_missing";
    /// A secret that it would get cannot be opened.
    pub const SECRET_UNREADABLE: &str = "secret_unreadable";
    /// A secret that it has handed over could not be stored.
    pub const SECRET_NOT_STORED: &str = "secret_not_stored";
    /// It needed more memory than it may use.
    pub const MEMORY_LIMIT: &str = "memory_limit";
    /// It needed more processes or threads than it may have.
    pub const PROCESS_LIMIT: &str = "process_limit";
    /// It used up its processor time.
    pub const CPU_LIMIT: &str = "cpu_limit";
    /// It printed more than is kept. The job has succeeded all the same.
    pub const OUTPUT_TRUNCATED: &str = "output_truncated";
    /// The worker died during the attempt, too often.
    pub const WORKER_LOST: &str = "worker_lost";
    /// The worker died, and the job must not be repeated unasked.
    pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";
    /// Somebody who might have approved of the job did not.
    pub const APPROVAL_DENIED: &str = "approval_denied";
    /// Nobody approved of the job in time.
    pub const APPROVAL_EXPIRED: &str = "approval_expired";
    /// The job was cancelled.
    pub const CANCELLED: &str = "cancelled";
    /// A limit of a rule admits no more calls for now.
    pub const LIMIT_EXCEEDED: &str = "limit_exceeded";
    /// A defect of ours; the log has the details.
    pub const INTERNAL: &str = "internal_error";
}

impl Outcome {
    /// What this end means to the state machine.
    pub fn event(&self) -> Event {
        match self {
            Self::Succeeded => Event::Succeeded,
            Self::Failed { failure, advice } => Event::Failed(failure.again(*advice)),
            Self::Snoozed { .. } => Event::Snoozed,
            Self::Stopped => Event::Stopped,
            Self::Released => Event::Released,
            Self::Interrupted => Event::Interrupted,
            Self::ApprovalVoided(_) => Event::ApprovalVoided,
        }
    }

    /// The stored and displayed name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Snoozed { .. } => "snoozed",
            Self::Stopped => "stopped",
            Self::Released => "released",
            Self::Interrupted => "interrupted",
            Self::ApprovalVoided(_) => "approval_voided",
        }
    }
}

impl Outcome {
    /// A failure of which the plugin says nothing more.
    pub fn failed(failure: Failure) -> Self {
        let advice = Advice::default();
        Self::Failed { failure, advice }
    }
}

impl Failure {
    /// What this failure means for another attempt: the plugin's own word, else what the job's policy says of its kind.
    fn again(&self, advice: Advice) -> Again {
        match (advice.retryable, self.code.as_str()) {
            (Some(true), _) => Again::Wanted,
            // Every attempt is refused, as long as nobody changes the machine or the settings, or accepts the plugin.
            (Some(false), _) | (None, code::SANDBOX_UNAVAILABLE | code::PLUGIN_QUARANTINED) => {
                Again::Pointless
            }
            (None, code::TIMEOUT) => Again::ByPolicy(RetryOn::Timeout),
            // A limit among them: whether the same call needs as much again depends on what it works on, which only
            // the author of its tool knows.
            (None, _) => Again::ByPolicy(RetryOn::Error),
        }
    }

    /// A failure of that code.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_about_another_attempt_where_the_plugin_does_not() {
        let by_policy = Again::ByPolicy(RetryOn::Error);
        let rows = [
            (code::PLUGIN_ERROR, None, by_policy),
            (code::TIMEOUT, None, Again::ByPolicy(RetryOn::Timeout)),
            (code::MEMORY_LIMIT, None, by_policy),
            (code::PROCESS_LIMIT, None, by_policy),
            (code::CPU_LIMIT, None, by_policy),
            (code::MEMORY_LIMIT, Some(true), Again::Wanted),
            (code::CPU_LIMIT, Some(false), Again::Pointless),
            (code::SANDBOX_UNAVAILABLE, None, Again::Pointless),
            (code::PLUGIN_QUARANTINED, None, Again::Pointless),
        ];
        for (code, retryable, expected) in rows {
            let advice = Advice {
                retryable,
                after_ms: None,
            };
            assert_eq!(Failure::new(code, "").again(advice), expected, "{code}");
        }
    }
}
