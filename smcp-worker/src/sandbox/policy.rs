//! What one run may do, in the kernel's terms. The worker decides it, the supervisor enforces exactly this or refuses.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What one run may do, and by which mechanisms it is held to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The namespaces, where they are used.
    pub namespaces: Option<Namespaces>,
    /// The user and group that the plugin becomes; `None` leaves it the worker's.
    pub user: Option<u32>,
    /// The version of Landlock's interface to use; `None` does without.
    pub landlock: Option<i32>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// Files and directories that may be read, beyond the system's own.
    pub read: Vec<PathBuf>,
    /// Files and directories that may be written.
    pub write: Vec<PathBuf>,
    /// Who may be reached.
    pub network: Reach,
    /// How much one process may use.
    pub limits: Rlimits,
    /// The cgroup to join.
    pub cgroup: Option<PathBuf>,
}

/// What the namespaces of a run are made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespaces {
    /// Whether they need a user namespace, as they do for all but root.
    pub user: bool,
    /// An empty directory of the host on which the new root is put together.
    pub base: PathBuf,
    /// The size of the scratch directory, and of shared memory, each.
    pub scratch_bytes: u64,
}

/// Who may be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Nobody.
    Nobody,
    /// TCP ports, of whatever address.
    Ports(Vec<u16>),
    /// The worker's proxy, at this port of the loopback address.
    Proxy(u16),
    /// Everybody.
    Everybody,
}

/// How much one process may use. `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimits {
    /// Addresses, whatever is behind them. Programs that reserve much more than they use cannot live with it.
    pub address_bytes: Option<u64>,
    /// Private memory that can be written.
    pub data_bytes: Option<u64>,
    /// Processes of its user; within a user namespace, of that namespace.
    pub processes: Option<u64>,
    /// Processor time.
    pub cpu_s: Option<u64>,
    /// The size of a file.
    pub file_bytes: Option<u64>,
    /// Open descriptors.
    pub open_files: Option<u64>,
}

/// Where a plugin with namespaces finds its scratch directory: its home, and its working directory.
pub(crate) const SCRATCH: &str = "/tmp/job";
/// What its own root has for a plugin to write to.
pub(super) const OWN_WRITABLE: [&str; 2] = ["/tmp", "/dev/shm"];
/// The port of the proxy within a network namespace, where nobody else can have it.
pub(crate) const PROXY_PORT: u16 = 3128;

/// What every plugin may read, where it exists: programs, libraries, and what they need to know of the system.
pub(super) const SYSTEM: [&str; 24] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/protocols",
    "/etc/python3",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
];

/// What those may read who may reach everybody: where names are resolved.
pub(super) const RESOLVER: &str = "/etc/resolv.conf";

/// Files that every plugin may read and write, as they are no files.
pub(super) const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

impl Policy {
    /// Whether the plugin has a network namespace of its own.
    pub(super) fn has_own_network(&self) -> bool {
        self.namespaces.is_some()
            && match self.network {
                Reach::Nobody | Reach::Proxy(_) => true,
                Reach::Ports(_) | Reach::Everybody => false,
            }
    }
}
