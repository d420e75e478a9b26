//! A declaration of what a plugin may do, key by key: what its manifest asks, what an operator grants, and what is
//! left of both.

mod excess;
mod joining;
mod narrowing;
mod problems;
mod reach;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::excess::Excess;
pub use self::narrowing::is_plain;
use super::{Destination, Limits, Network, Profile};

/// What somebody says of a profile; keys that are not there are left to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// Files.
    #[serde(skip_serializing_if = "is_silent")]
    pub filesystem: FilesystemTerms,
    /// Network.
    #[serde(skip_serializing_if = "is_silent")]
    pub network: NetworkTerms,
    /// Limits.
    #[serde(skip_serializing_if = "is_silent")]
    pub limits: LimitTerms,
    /// Environment.
    #[serde(skip_serializing_if = "is_silent")]
    pub env: EnvTerms,
}

/// What is said of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesystemTerms {
    /// See [`Profile::read`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Vec<PathBuf>>,
    /// See [`Profile::write`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Vec<PathBuf>>,
    /// See [`Profile::scratch_mb`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch_mb: Option<u64>,
}

/// What is said of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkTerms {
    /// Which kind of [`Network`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Destinations for `proxy`, ports for `loopback-ports`.
    #[serde(skip_serializing_if = "Option::is_none")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// See [`Limits::processes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// See [`Limits::cpu_s`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<u64>,
    /// See [`Limits::wall_s`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_seconds: Option<u64>,
    /// See [`Limits::file_mb`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mb: Option<u64>,
    /// See [`Limits::open_files`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// See [`Limits::stdout_kb`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout_kb: Option<u64>,
    /// See [`Limits::stderr_kb`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr_kb: Option<u64>,
}

/// What is said of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvTerms {
    /// See [`Profile::env`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
}

impl Terms {
    /// What a plugin may do whose manifest says `self`, where the operator grants `grants`, the first of which that
    /// says something of a key counts; what nobody speaks of is as in [`Profile::default`]. A manifest can only narrow
    /// what is granted; what it asks for beyond that is told. `network.mode` and `network.allow` are one key.
    ///
    /// Terms with [`Terms::problems`] grant nothing by what is wrong with them: a path that is relative or has `..`
    /// in it is beyond every grant.
    pub fn within(&self, grants: &[&Self]) -> (Profile, Vec<Excess>) {
        let granted = grants
            .iter()
            .fold(Self::default(), |said, grant| said.or(grant))
            .complete();
        narrowing::narrow(self, &granted.profile())
    }

    /// These terms, and of the keys that they leave out what `other` says.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let (limits, others) = (self.limits, &other.limits);
        Self {
            filesystem: FilesystemTerms {
                read: self.filesystem.read.or(other.filesystem.read.clone()),
                write: self.filesystem.write.or(other.filesystem.write.clone()),
                scratch_mb: self.filesystem.scratch_mb.or(other.filesystem.scratch_mb),
            },
            network: match self.network.mode {
                Some(_) => self.network,
                None => other.network.clone(),
            },
            limits: LimitTerms {
                memory_mb: limits.memory_mb.or(others.memory_mb),
                processes: limits.processes.or(others.processes),
                cpu_seconds: limits.cpu_seconds.or(others.cpu_seconds),
                wall_seconds: limits.wall_seconds.or(others.wall_seconds),
                file_mb: limits.file_mb.or(others.file_mb),
                open_files: limits.open_files.or(others.open_files),
                stdout_kb: limits.stdout_kb.or(others.stdout_kb),
                stderr_kb: limits.stderr_kb.or(others.stderr_kb),
            },
            env: EnvTerms {
                allow: self.env.allow.or(other.env.allow.clone()),
            },
        }
    }

    /// These terms, and of the keys that they leave out what [`Profile::default`] says.
    #[must_use]
    pub fn complete(self) -> Self {
        self.or(&Self::from(Profile::default()))
    }

    /// The profile that these terms spell out.
    fn profile(self) -> Profile {
        let default = Profile::default();
        let (limits, defaults) = (self.limits, default.limits);
        Profile {
            read: self.filesystem.read.unwrap_or(default.read),
            write: self.filesystem.write.unwrap_or(default.write),
            scratch_mb: self.filesystem.scratch_mb.unwrap_or(default.scratch_mb),
            network: self.network.network().unwrap_or(default.network),
            limits: Limits {
                memory_mb: limits.memory_mb.unwrap_or(defaults.memory_mb),
                processes: limits.processes.unwrap_or(defaults.processes),
                cpu_s: limits.cpu_seconds.unwrap_or(defaults.cpu_s),
                wall_s: limits.wall_seconds.unwrap_or(defaults.wall_s),
                file_mb: limits.file_mb.unwrap_or(defaults.file_mb),
                open_files: limits.open_files.unwrap_or(defaults.open_files),
                stdout_kb: limits.stdout_kb.unwrap_or(defaults.stdout_kb),
                stderr_kb: limits.stderr_kb.unwrap_or(defaults.stderr_kb),
            },
            env: self.env.allow.unwrap_or(default.env),
        }
    }
}

impl NetworkTerms {
    /// Whom these terms speak of; an empty list is nobody.
    fn network(&self) -> Option<Network> {
        let allow = narrowing::once(self.allow.as_deref().unwrap_or_default());
        let network = match self.mode? {
            Mode::None => Network::None,
            Mode::Full => Network::Full,
            Mode::LoopbackPorts => Network::LoopbackPorts(
                allow
                    .into_iter()
                    .filter_map(|reach| match reach {
                        Reach::Port(port) => Some(port),
                        Reach::Destination(_) => None,
                    })
                    .collect(),
            ),
            Mode::Proxy => Network::Proxy(
                allow
                    .into_iter()
                    .filter_map(|reach| match reach {
                        Reach::Port(_) => None,
                        Reach::Destination(destination) => Some(destination),
                    })
                    .collect(),
            ),
        };
        Some(network.simplified())
    }
}

impl Network {
    /// The same; a list without entries is [`Network::None`].
    fn simplified(self) -> Self {
        let is_empty = match &self {
            Self::LoopbackPorts(ports) => ports.is_empty(),
            Self::Proxy(destinations) => destinations.is_empty(),
            Self::None | Self::Full => false,
        };
        if is_empty { Self::None } else { self }
    }
}

impl From<Network> for NetworkTerms {
    fn from(network: Network) -> Self {
        let (mode, allow) = match network {
            Network::None => (Mode::None, Vec::new()),
            Network::Full => (Mode::Full, Vec::new()),
            Network::LoopbackPorts(ports) => (
                Mode::LoopbackPorts,
                ports.into_iter().map(Reach::Port).collect(),
            ),
            Network::Proxy(destinations) => (
                Mode::Proxy,
                destinations.into_iter().map(Reach::Destination).collect(),
            ),
        };
        Self {
            mode: Some(mode),
            allow: Some(allow),
        }
    }
}

impl From<Profile> for Terms {
    /// Terms that leave out no key.
    fn from(profile: Profile) -> Self {
        let limits = profile.limits;
        Self {
            filesystem: FilesystemTerms {
                read: Some(profile.read),
                write: Some(profile.write),
                scratch_mb: Some(profile.scratch_mb),
            },
            network: profile.network.into(),
            limits: LimitTerms {
                memory_mb: Some(limits.memory_mb),
                processes: Some(limits.processes),
                cpu_seconds: Some(limits.cpu_s),
                wall_seconds: Some(limits.wall_s),
                file_mb: Some(limits.file_mb),
                open_files: Some(limits.open_files),
                stdout_kb: Some(limits.stdout_kb),
                stderr_kb: Some(limits.stderr_kb),
            },
            env: EnvTerms {
                allow: Some(profile.env),
            },
        }
    }
}

impl Mode {
    /// Every mode, from nobody to everybody.
    pub const ALL: [Self; 4] = [Self::None, Self::LoopbackPorts, Self::Proxy, Self::Full];

    /// The name in manifests and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::LoopbackPorts => "loopback-ports",
            Self::Proxy => "proxy",
            Self::Full => "full",
        }
    }
}

fn is_silent<T: Default + PartialEq>(terms: &T) -> bool {
    *terms == T::default()
}
