//! The retry policy that a tool declares.

use serde::{Deserialize, Serialize};

/// How often, and after which delays, a failed call of a tool is tried again. Declared and stored here, obeyed elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// All attempts, the first included: 1 to 100.
    pub max_attempts: u32,
    /// The delay after the first failure, in milliseconds; at most one day.
    pub initial_ms: u64,
    /// What each further delay is multiplied with: 1 to 100.
    pub factor: f64,
    /// The longest delay, in milliseconds; at most seven days.
    pub max_ms: u64,
    /// The ends of an attempt that lead to another one.
    pub retry_on: Vec<RetryOn>,
}

impl Default for Retry {
    /// Three attempts, one second and then two apart, after an error or a timeout. What a lost worker
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
