//! The state machine of a job. The only place that decides which state follows; pure, so that the whole
//! table can be read in one snapshot.

mod name;

pub use self::name::StateName;
use super::{Causes, Effect, RetryOn};

/// Where a job stands.
///
/// `attempt` counts every claim and only grows: it is the fence that tells a late worker from its successor.
/// `failures` counts the attempts that are held against the job; a worker that was told to stop costs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for somebody to approve of it.
    AwaitingApproval {
        /// Claims so far.
        attempt: u32,
        /// Attempts held against the job.
        failures: u32,
    },
    /// Waits for a worker, for its time, or for its lane.
    Queued {
        /// Claims so far.
        attempt: u32,
        /// Attempts held against the job.
        failures: u32,
    },
    /// A worker holds it.
    Running {
        /// The number of this attempt, from 1.
        attempt: u32,
        /// Attempts held against the job before this one.
        failures: u32,
        /// Somebody has asked for it to be stopped.
        cancelling: bool,
    },
    /// The plugin answered.
    Succeeded,
    /// The plugin failed, timed out, or could not be run.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// Its worker died, and what it did cannot be known; only a person or an explicit request runs it again.
    OutcomeUnknown,
    /// Somebody who might have approved of it did not.
    Denied,
    /// Nobody approved of it in time.
    Expired,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Everybody whose approval it needs has approved of it.
    Approved,
    /// Somebody who might have approved of it did not.
    Denied,
    /// Nobody approved of it in time.
    ApprovalExpired,
    /// Before it began, the worker found that what was approved of is not what would run.
    ApprovalVoided,
    /// A worker took it.
    Claimed,
    /// The attempt ended well.
    Succeeded,
    /// The attempt ended badly.
    Failed(Again),
    /// The plugin asked to be run again later.
    Snoozed,
    /// The attempt was stopped because somebody had asked for it.
    Stopped,
    /// The worker gave it back before it had begun.
    Released,
    /// The worker was told to stop at once and killed it half-way.
    Interrupted,
    /// The worker died or fell silent for longer than its lease.
    WorkerLost,
    /// Somebody asks for it to be stopped.
    CancelRequested,
}

impl Event {
    /// Whether the attempt that ends so is held against the job.
    pub const fn is_held_against(self) -> bool {
        match self {
            Self::Failed(_) | Self::WorkerLost => true,
            Self::Approved
            | Self::Denied
            | Self::ApprovalExpired
            | Self::ApprovalVoided
            | Self::Claimed
            | Self::Succeeded
            | Self::Snoozed
            | Self::Stopped
            | Self::Released
            | Self::Interrupted
            | Self::CancelRequested => false,
        }
    }
}

/// What a failed attempt says of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing: the policy decides by how it ended.
    ByPolicy(RetryOn),
    /// It may help.
    Wanted,
    /// It would end the same.
    Pointless,
}

/// The rules of one job that its transitions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What repeating it does.
    pub effect: Effect,
    /// Attempts that may be held against it before it fails for good; at least 1.
    pub max_attempts: u32,
    /// The ends that lead to another attempt.
    pub retry_on: Causes,
}

/// The event cannot happen in that state: a defect of ours or a corrupt row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot be {event:?}", state = .state.name())]
pub struct IllegalTransition {
    /// Where the job stood.
    pub state: State,
    /// What was said to have happened.
    pub event: Event,
}

/// The state that follows `state` when `event` happens.
///
/// # Errors
/// [`IllegalTransition`] where the event cannot happen there. Asking again to cancel what is ended or is being
/// stopped is not an error: the state stands.
pub fn next(state: State, event: Event, policy: Policy) -> Result<State, IllegalTransition> {
    use Event as E;
    use State as S;
    Ok(match (state, event) {
        (S::AwaitingApproval { .. }, E::Denied) => S::Denied,
        (S::AwaitingApproval { .. }, E::ApprovalExpired) => S::Expired,

        (S::Queued { attempt, failures }, E::Claimed) => S::Running {
            attempt: attempt + 1,
            failures,
            cancelling: false,
        },

        (S::Running { .. }, E::Succeeded) => S::Succeeded,
        (
            S::Running {
                attempt,
                failures,
                cancelling,
            },
            E::Failed(again),
        ) => {
            let failures = failures + 1;
            if !cancelling && policy.wants(again) && failures < policy.max_attempts {
                S::Queued { attempt, failures }
            } else {
                S::Failed
            }
        }
        (S::AwaitingApproval { .. } | S::Queued { .. }, E::CancelRequested)
        | (S::Running { .. }, E::Stopped)
        | (
            S::Running {
                cancelling: true, ..
            },
            E::Released | E::Snoozed | E::ApprovalVoided,
        ) => S::Cancelled,
        (
            S::Running {
                attempt,
                failures,
                cancelling: false,
            },
            E::ApprovalVoided,
        ) => S::AwaitingApproval { attempt, failures },
        (S::AwaitingApproval { attempt, failures }, E::Approved)
        | (
            S::Running {
                attempt,
                failures,
                cancelling: false,
            },
            E::Released | E::Snoozed,
        ) => S::Queued { attempt, failures },
        // The worker's stop, not the job's fault: it costs no attempt.
        (
            S::Running {
                attempt,
                failures,
                cancelling,
            },
            E::Interrupted,
        ) => after_break(attempt, failures, cancelling, policy),
        (
            S::Running {
                attempt,
                failures,
                cancelling,
            },
            E::WorkerLost,
        ) => after_break(attempt, failures + 1, cancelling, policy),
        (
            S::Running {
                attempt, failures, ..
            },
            E::CancelRequested,
        ) => S::Running {
            attempt,
            failures,
            cancelling: true,
        },

        (
            S::Succeeded | S::Failed | S::Cancelled | S::OutcomeUnknown | S::Denied | S::Expired,
            E::CancelRequested,
        ) => state,

        (
            S::AwaitingApproval { .. },
            E::Claimed
            | E::Succeeded
            | E::Failed(_)
            | E::Snoozed
            | E::Stopped
            | E::Released
            | E::Interrupted
            | E::WorkerLost
            | E::ApprovalVoided,
        )
        | (
            S::Queued { .. },
            E::Approved
            | E::Denied
            | E::ApprovalExpired
            | E::ApprovalVoided
            | E::Succeeded
            | E::Failed(_)
            | E::Snoozed
            | E::Stopped
            | E::Released
            | E::Interrupted
            | E::WorkerLost,
        )
        | (S::Running { .. }, E::Claimed | E::Approved | E::Denied | E::ApprovalExpired)
        | (
            S::Succeeded | S::Failed | S::Cancelled | S::OutcomeUnknown | S::Denied | S::Expired,
            E::Approved
            | E::Denied
            | E::ApprovalExpired
            | E::ApprovalVoided
            | E::Claimed
            | E::Succeeded
            | E::Failed(_)
            | E::Snoozed
            | E::Stopped
            | E::Released
            | E::Interrupted
            | E::WorkerLost,
        ) => return Err(IllegalTransition { state, event }),
    })
}

/// The state of a job that somebody who may wants to be run again after `attempt` claims; `None` where it cannot be: it
/// has not ended, or it has succeeded, and doing that twice would be another deed. The count of failures begins anew,
/// since somebody has looked and decided. What needed an approval needs another one: each is for one time.
pub fn revived(state: StateName, attempt: u32, needs_approval: bool) -> Option<State> {
    match state {
        StateName::Failed
        | StateName::Cancelled
        | StateName::OutcomeUnknown
        | StateName::Denied
        | StateName::Expired => Some(if needs_approval {
            State::AwaitingApproval {
                attempt,
                failures: 0,
            }
        } else {
            State::Queued {
                attempt,
                failures: 0,
            }
        }),
        StateName::AwaitingApproval
        | StateName::Queued
        | StateName::Running
        | StateName::Succeeded => None,
    }
}

/// What follows an attempt that broke off half-way. A claimed job counts as begun: between claim and start lies a
/// millisecond, and guessing wrong would repeat a deploy.
fn after_break(attempt: u32, failures: u32, cancelling: bool, policy: Policy) -> State {
    if !policy.survives_a_loss() {
        State::OutcomeUnknown
    } else if cancelling {
        State::Cancelled
    } else if failures < policy.max_attempts {
        State::Queued { attempt, failures }
    } else {
        State::Failed
    }
}

impl Policy {
    /// Whether a failed attempt is to be followed by another, as long as there are some left.
    fn wants(self, again: Again) -> bool {
        match again {
            Again::ByPolicy(cause) => self.retry_on.has(cause),
            Again::Wanted => true,
            Again::Pointless => false,
        }
    }

    /// Whether an attempt whose end nobody saw may be repeated: by the tool's nature, or because its manifest or the
    /// caller says so in as many words.
    fn survives_a_loss(self) -> bool {
        self.effect.may_repeat() || self.retry_on.has(RetryOn::WorkerLost)
    }
}

impl State {
    /// Attempts held against the job; `None` once it has ended.
    pub const fn failures(self) -> Option<u32> {
        match self {
            Self::AwaitingApproval { failures, .. }
            | Self::Queued { failures, .. }
            | Self::Running { failures, .. } => Some(failures),
            Self::Succeeded
            | Self::Failed
            | Self::Cancelled
            | Self::OutcomeUnknown
            | Self::Denied
            | Self::Expired => None,
        }
    }

    /// The name without the counters.
    pub const fn name(self) -> StateName {
        match self {
            Self::AwaitingApproval { .. } => StateName::AwaitingApproval,
            Self::Queued { .. } => StateName::Queued,
            Self::Running { .. } => StateName::Running,
            Self::Succeeded => StateName::Succeeded,
            Self::Failed => StateName::Failed,
            Self::Cancelled => StateName::Cancelled,
            Self::OutcomeUnknown => StateName::OutcomeUnknown,
            Self::Denied => StateName::Denied,
            Self::Expired => StateName::Expired,
        }
    }
}

#[cfg(test)]
mod tests;
