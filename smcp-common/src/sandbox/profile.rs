//! What one plugin may do and use.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What one plugin may do and use beyond what every plugin may: read the system's programs and libraries, its own
/// directory and its interpreter, and write to a scratch directory that is its own for one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Files and directories that it may read besides; absolute paths.
    pub read: Vec<PathBuf>,
    /// Files and directories that it may write besides, and read; absolute paths.
    pub write: Vec<PathBuf>,
    /// How much it may write to its scratch directory, in MiB.
    pub scratch_mb: u64,
    /// Whom it may reach.
    pub network: Network,
    /// How much it may use.
    pub limits: Limits,
    /// Variables of the worker's environment that it sees besides the built-in ones; a trailing `*` matches any ending.
    pub env: Vec<String>,
}

/// Whom a plugin may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", content = "allow", rename_all = "kebab-case")]
pub enum Network {
    /// Nobody.
    None,
    /// Connections to these TCP ports, of whatever address.
    LoopbackPorts(Vec<u16>),
    /// Connections to these destinations, by the worker's proxy.
    Proxy(Vec<Destination>),
    /// Everybody.
    Full,
}

/// A host and a port that a plugin may connect to: `api.example.com:443`, `10.0.0.7:5432`, `[::1]:80`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    /// A host name in lower case, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How much a plugin may use. 0 means no limit where it says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory, in MiB; 0 means no limit.
    pub memory_mb: u64,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Processor time, in seconds; 0 means no limit.
    pub cpu_s: u64,
    /// Time from start to end, in seconds, where the tool's own limit is not shorter; 0 leaves it to that.
    pub wall_s: u64,
    /// The size of one file, in MiB.
    pub file_mb: u64,
    /// Open descriptors of one process.
    pub open_files: u64,
    /// Standard output that is kept, in KiB.
    pub stdout_kb: u64,
    /// Standard error that is kept, in KiB, counted from its end.
    pub stderr_kb: u64,
}

/// A text that names no destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no destination: it must be a host and a port, such as api.example.com:443")]
pub struct DestinationError(String);

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

impl Profile {
    /// The size of the scratch directory.
    pub fn scratch_bytes(&self) -> u64 {
        self.scratch_mb * MIB
    }
}

impl Limits {
    /// The memory; `None` without a limit.
    pub fn memory_bytes(&self) -> Option<u64> {
        (self.memory_mb > 0).then_some(self.memory_mb * MIB)
    }

    /// The processor time, in seconds; `None` without a limit.
    pub fn cpu_s(&self) -> Option<u64> {
        (self.cpu_s > 0).then_some(self.cpu_s)
    }

    /// The size of one file.
    pub fn file_bytes(&self) -> u64 {
        self.file_mb * MIB
    }

    /// The standard output that is kept.
    pub fn stdout_bytes(&self) -> u64 {
        self.stdout_kb * KIB
    }

    /// The standard error that is kept.
    pub fn stderr_bytes(&self) -> u64 {
        self.stderr_kb * KIB
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            read: Vec::new(),
            write: Vec::new(),
            scratch_mb: 64,
            network: Network::None,
            limits: Limits::default(),
            env: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mb: 512,
            processes: 32,
            cpu_s: 60,
            wall_s: 0,
            file_mb: 64,
            open_files: 256,
            stdout_kb: 16 * 1024,
            stderr_kb: 256,
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let wrong = || DestinationError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port
            .parse()
            .ok()
            .filter(|&port| port > 0)
            .ok_or_else(wrong)?;
        let host = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(address) => address.parse::<IpAddr>().map_err(|_| wrong())?.to_string(),
            None => host.trim_end_matches('.').to_ascii_lowercase(),
        };
        let is_name = |host: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            !host.is_empty() && host.len() <= 253 && host.chars().all(fits)
        };
        if host.parse::<IpAddr>().is_ok() || is_name(&host) {
            Ok(Self { host, port })
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for Destination {
    type Error = DestinationError;

    fn try_from(text: String) -> Result<Self, DestinationError> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_host_and_a_port() {
        let rows = [
            ("api.example.com:443", Some("api.example.com:443")),
            ("API.Example.COM.:443", Some("api.example.com:443")),
            ("10.0.0.7:5432", Some("10.0.0.7:5432")),
            ("[::1]:80", Some("[::1]:80")),
            ("example.com", None),
            ("example.com:0", None),
            ("example.com:65536", None),
            (":80", None),
            ("http://example.com:80", None),
            ("*.example.com:443", None),
            ("[example]:80", None),
        ];
        for (text, expected) in rows {
            let read = text.parse::<Destination>().map(|read| read.to_string());
            assert_eq!(read.ok().as_deref(), expected, "{text}");
        }
    }
}
