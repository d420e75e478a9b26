//! How a plugin wants to be run.

use serde::{Deserialize, Serialize};

/// How a plugin wants to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// Whether its interpreter may be kept waiting for the next call.
    pub warm: Warm,
}

/// Whether an interpreter is kept waiting for the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warm {
    /// Where that works.
    #[default]
    Auto,
    /// Never: each call starts one.
    Off,
}

impl Warm {
    /// Every choice, in the order of the contract.
    pub const ALL: [Self; 2] = [Self::Auto, Self::Off];

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
        }
    }
}
