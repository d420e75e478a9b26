//! How much of what it may do an agent may do within a time. What has been used is in the queue.

use serde::{Deserialize, Serialize};

/// A limit that a rule sets; it counts for each agent by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The id of the rule.
    pub rule: String,
    /// What is limited.
    pub kind: LimitKind,
}

/// What a limit limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// `@rate("10/1h")`: so many within any such time, as it passes.
    Rate(Rate),
    /// `@quota("200/1d")`: so many from one multiple of such a time, counted from midnight UTC of 1 January 1970, to the next.
    Quota(Rate),
    /// `@cooldown("30s")`: so long after the one before, in milliseconds.
    Cooldown(u64),
}

/// So many within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many; at least 1.
    pub calls: u32,
    /// Within how many milliseconds; at least 1.
    pub per_ms: u64,
}
