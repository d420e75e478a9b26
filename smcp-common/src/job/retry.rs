//! Whether a failed attempt is followed by another one, and after which delay. Pure: time and chance are handed in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest delay that a plugin may ask for, and that a policy may reach: seven days.
pub const MAX_DELAY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The most attempts that a policy may allow.
pub const MAX_ATTEMPTS: u32 = 100;

/// How often, and after which delays, a failed call of a tool is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// All attempts, the first included: 1 to [`MAX_ATTEMPTS`].
    pub max_attempts: u32,
    /// The delay after the first failure, in milliseconds; at most one day.
    pub initial_ms: u64,
    /// What each further delay is multiplied with: 1 to 100.
    pub factor: f64,
    /// The longest delay, in milliseconds; at most [`MAX_DELAY`].
    pub max_ms: u64,
    /// The ends of an attempt that lead to another one.
    pub retry_on: Vec<RetryOn>,
}

impl Default for Retry {
    /// Three attempts, up to one second and then two apart, after an error or a timeout. What a lost worker
    /// means is left to the tool's effect unless its manifest names it.
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_ms: 1_000,
            factor: 2.0,
            max_ms: 300_000,
            retry_on: vec![RetryOn::Error, RetryOn::Timeout],
        }
    }
}

impl Retry {
    /// The policy of a tool that declares none: its failures are final unless it says itself that another attempt may
    /// help, and a lost worker may cost it three attempts where its effect allows another.
    pub fn undeclared() -> Self {
        Self {
            retry_on: Vec::new(),
            ..Self::default()
        }
    }

    /// The delay after the attempt that made it `failures` (from 1): exponential, capped, and then *full jitter*, a
    /// random part of that, so that what failed together does not come back together. `chance` is in `0.0..1.0`.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let grown = Duration::from_millis(self.initial_ms).as_secs_f64()
            * self
                .factor
                .powf(f64::from(failures.saturating_sub(1).min(1_000)));
        let cap = Duration::from_millis(self.max_ms)
            .min(MAX_DELAY)
            .as_secs_f64();
        Duration::try_from_secs_f64(grown.min(cap) * chance.clamp(0.0, 1.0)).unwrap_or_default()
    }

    /// The ends that lead to another attempt, as the state machine asks for them.
    pub fn causes(&self) -> Causes {
        let has = |cause| self.retry_on.contains(&cause);
        Causes {
            error: has(RetryOn::Error),
            timeout: has(RetryOn::Timeout),
            worker_lost: has(RetryOn::WorkerLost),
        }
    }
}

/// An end of an attempt that may lead to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// The plugin failed.
    Error,
    /// The plugin was stopped at its time limit.
    Timeout,
    /// The worker died while the plugin ran.
    WorkerLost,
}

impl RetryOn {
    /// Every reason, in the order of the contract.
    pub const ALL: [Self; 3] = [Self::Error, Self::Timeout, Self::WorkerLost];

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::WorkerLost => "worker_lost",
        }
    }
}

/// The set of [`RetryOn`] of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Causes {
    error: bool,
    timeout: bool,
    worker_lost: bool,
}

impl Causes {
    /// Whether that end leads to another attempt.
    pub const fn has(self, cause: RetryOn) -> bool {
        match cause {
            RetryOn::Error => self.error,
            RetryOn::Timeout => self.timeout,
            RetryOn::WorkerLost => self.worker_lost,
        }
    }
}

/// What a failed plugin says itself of another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Advice {
    /// Whether another attempt may help; `None` leaves it to the job's policy.
    pub retryable: Option<bool>,
    /// The delay before it, in milliseconds; `None` leaves it to the job's policy.
    pub after_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_grow_to_the_cap() {
        let retry = Retry {
            initial_ms: 100,
            factor: 3.0,
            max_ms: 2_000,
            ..Retry::default()
        };
        let most: Vec<_> = [1, 2, 3, 4, 50, u32::MAX]
            .map(|failures| retry.delay(failures, 1.0).as_millis())
            .into();
        assert_eq!(most, [100, 300, 900, 2_000, 2_000, 2_000]);
        assert_eq!(retry.delay(2, 0.5), Duration::from_millis(150));
        assert_eq!(retry.delay(2, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_tool_that_declares_nothing_is_not_retried_for_its_own_failures() {
        let causes = Retry::undeclared().causes();
        assert!(RetryOn::ALL.iter().all(|cause| !causes.has(*cause)));
        let causes = Retry::default().causes();
        assert!(causes.has(RetryOn::Error) && causes.has(RetryOn::Timeout));
        assert!(!causes.has(RetryOn::WorkerLost));
    }

    proptest! {
        #[test]
        fn no_delay_is_longer_than_its_cap(initial_ms in 0..=86_400_000_u64, factor in 1.0..=100.0, max_ms in 0..=u64::MAX,
                                           failures: u32, chance in 0.0..1.0) {
            let retry = Retry { initial_ms, factor, max_ms, ..Retry::default() };
            let delay = retry.delay(failures, chance);
            prop_assert!(delay <= MAX_DELAY && delay <= Duration::from_millis(max_ms));
        }
    }
}
