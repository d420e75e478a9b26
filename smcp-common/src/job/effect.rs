//! What running a tool twice does to the world.

use serde::{Deserialize, Serialize};

/// Decides whether an attempt whose end nobody saw may be repeated.
///
/// A tool that declares nothing is [`Effect::Once`]: repeating a deploy is worse than asking a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing; may be run any number of times.
    ReadOnly,
    /// Leaves the same state behind however often it runs.
    Idempotent,
    /// Must not be repeated unless somebody asks for it.
    #[default]
    Once,
}

impl Effect {
    /// The stored and displayed name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::Idempotent => "idempotent",
            Self::Once => "once",
        }
    }

    /// True where an attempt whose end is unknown may simply be run again.
    pub const fn may_repeat(self) -> bool {
        match self {
            Self::ReadOnly | Self::Idempotent => true,
            Self::Once => false,
        }
    }
}
