//! What a permit asks for beside what it permits, in its annotations.

use serde::{Deserialize, Serialize};

use crate::limit::Limit;

/// What the satisfied permits ask for together: of each kind the strictest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Obligations {
    /// `@requireApproval("group")` with `@approvals("2")`.
    pub approval: Option<Approval>,
    /// `@rate`, `@quota` and `@cooldown`, each with the id of its rule; all of them count.
    pub limits: Vec<Limit>,
    /// `@timeout("30s")`: the longest run.
    pub timeout_ms: Option<u64>,
    /// `@maxAttempts("3")`.
    pub max_attempts: Option<u32>,
    /// `@maxArguments("64KiB")`: the largest arguments, in bytes of JSON.
    pub max_arguments_bytes: Option<u64>,
    /// `@dryRunOnly`: nothing is run.
    pub dry_run_only: bool,
    /// `@sandbox("strict")`: it runs only where every key of its profile is enforced.
    pub strict_sandbox: bool,
}

/// Whose approval is needed, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The groups whose members may approve of it: one for each permit that asks; members of any of them count, and at least
    /// one of each is needed.
    pub groups: Vec<String>,
    /// How many agents must approve of it; at least 1.
    pub approvals: u32,
}
