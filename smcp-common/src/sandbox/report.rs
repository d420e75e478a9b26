//! How far a machine holds plugins to their profiles: what was tried out, not what should be.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How far this machine holds plugins to their profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The tier, which is a name for the whole.
    pub tier: Tier,
    /// What the operator demands.
    pub require: Require,
    /// Why no plugin is run at all; `None` where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Key by key.
    pub keys: BTreeMap<Key, Finding>,
    /// What hostile probes found, where they were run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
}

/// How well plugins are confined, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// T0: limits and the end of the whole process tree; no sandbox.
    LimitsOnly,
    /// T1: Landlock, seccomp and limits.
    Restricted,
    /// T2: namespaces as well.
    Isolated,
    /// T3: a cgroup with totals as well.
    Contained,
}

/// What an operator demands before a plugin is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Nothing.
    None,
    /// [`Tier::Restricted`] at least.
    #[default]
    Restricted,
    /// Every key of the plugin's profile enforced.
    Strict,
}

/// What a profile, or every plugin, is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Files outside the profile can neither be read nor written.
    Filesystem,
    /// The scratch directory has a size.
    Disk,
    /// `network.mode = "none"`.
    NetworkNone,
    /// `network.mode = "proxy"`: listed destinations only.
    NetworkProxy,
    /// `network.mode = "loopback-ports"`: listed ports only.
    NetworkPorts,
    /// Memory.
    Memory,
    /// Number of processes.
    Processes,
    /// Processor time.
    Cpu,
    /// Other processes can be neither seen nor signalled nor read.
    Isolation,
    /// No way to more privileges: not root, no capabilities, no setuid.
    Privileges,
    /// System calls that plugins have no use for.
    Syscalls,
    /// Nothing of a plugin outlives its call.
    TreeKill,
}

/// What was found of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How far it is kept.
    pub state: State,
    /// By what.
    pub by: Vec<String>,
    /// What is missing, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What the operator can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How far something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not at all.
    Absent,
    /// Not in every way that one would expect.
    Partial,
    /// As promised.
    Enforced,
}

/// What hostile probes found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// How many there were.
    pub probes: usize,
    /// What got through, a sentence each.
    pub failures: Vec<String>,
    /// How long they took.
    pub duration_ms: u64,
}

/// What held one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// How well, as a whole.
    pub tier: Tier,
    /// The mechanisms, in the order in which they were put on.
    pub by: Vec<String>,
    /// Keys of its profile that were not wholly enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<Key>,
    /// How its process came to be.
    pub start: Start,
    /// Why it was not forked from a waiting interpreter, where it might have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_because: Option<String>,
}

/// How a process came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Started anew.
    Cold,
    /// Forked from a waiting interpreter.
    Warm,
}

impl Key {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::Filesystem,
        Self::Disk,
        Self::NetworkNone,
        Self::NetworkProxy,
        Self::NetworkPorts,
        Self::Memory,
        Self::Processes,
        Self::Cpu,
        Self::Isolation,
        Self::Privileges,
        Self::Syscalls,
        Self::TreeKill,
    ];

    /// The stored and displayed name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "filesystem",
            Self::Disk => "disk",
            Self::NetworkNone => "network_none",
            Self::NetworkProxy => "network_proxy",
            Self::NetworkPorts => "network_ports",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Cpu => "cpu",
            Self::Isolation => "isolation",
            Self::Privileges => "privileges",
            Self::Syscalls => "syscalls",
            Self::TreeKill => "tree_kill",
        }
    }
}

impl Tier {
    /// The stored and displayed name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LimitsOnly => "limits_only",
            Self::Restricted => "restricted",
            Self::Isolated => "isolated",
            Self::Contained => "contained",
        }
    }

    /// Its number in the documentation: `T2`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::LimitsOnly => "T0",
            Self::Restricted => "T1",
            Self::Isolated => "T2",
            Self::Contained => "T3",
        }
    }
}

impl Require {
    /// The stored and displayed name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restricted => "restricted",
            Self::Strict => "strict",
        }
    }
}

impl State {
    /// The stored and displayed name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Partial => "partial",
            Self::Enforced => "enforced",
        }
    }
}

impl Start {
    /// The stored and displayed name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
