//! What was found by trying it out.

use std::fs;
use std::path::Path;

/// What this machine offers to confine plugins with, found by doing it rather than by asking for versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As whom plugins run.
    pub user: User,
    /// Whether a plugin gets namespaces of its own: mounts, processes, network, IPC and host name.
    pub namespaces: Result<Namespaces, Lack>,
    /// The ABI of Landlock, 1 or higher.
    pub landlock: Result<u32, Lack>,
    /// Whether system calls are filtered.
    pub seccomp: Result<(), Lack>,
    /// The cgroup that a plugin gets of its own, and what that counts.
    pub cgroup: Result<Cgroup, Lack>,
    /// Where we run, as far as advice depends on it.
    pub platform: Platform,
}

/// As whom plugins run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// As the worker's own user, which is not root.
    Own,
    /// Each as a user of its own: the worker is root, and becomes another one before it runs a plugin.
    Pool,
    /// As root, since the worker cannot become anybody else: no plugin is run.
    Root(Lack),
}

/// How namespaces are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    /// Within a user namespace, as anybody may.
    OfUser,
    /// By root, without a user namespace.
    OfRoot,
}

/// What a cgroup of version 2 holds for the whole process tree of a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each controller is there or is not, by itself"
)]
pub struct Cgroup {
    /// `memory.max`
    pub memory: bool,
    /// `pids.max`
    pub pids: bool,
    /// Its processor time is counted, and it is stopped by that.
    pub cpu: bool,
    /// `cgroup.kill`
    pub kill: bool,
}

/// Why something is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What was tried, and what came of it; a clause without a period.
    pub why: String,
    /// What the operator can do about it; `None` leaves the advice to the doctor.
    pub fix: Option<String>,
}

/// Where we run, as far as advice depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// Whether this is Linux, which alone has what a sandbox is made of.
    pub linux: bool,
    /// Whether this is a container, whose runtime decides what there is.
    pub container: bool,
    /// Whether `AppArmor` keeps programs that it does not know from using user namespaces, as on Ubuntu.
    pub apparmor: bool,
}

impl Facts {
    /// The ABI of Landlock, where there is one; 0 is below each.
    pub(super) fn abi(&self) -> u32 {
        *self.landlock.as_ref().unwrap_or(&0)
    }

    /// What a plugin's cgroup holds; nothing where it has none.
    pub(super) fn totals(&self) -> Cgroup {
        *self.cgroup.as_ref().unwrap_or(&Cgroup::default())
    }
}

impl Lack {
    /// For which the doctor knows what to do.
    pub fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            fix: None,
        }
    }

    /// With advice of its own.
    pub fn with_fix(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            fix: Some(fix.into()),
        }
    }
}

impl Platform {
    /// This one.
    pub fn here() -> Self {
        let is_there = |path: &str| Path::new(path).exists();
        let restricts = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
        Self {
            linux: cfg!(target_os = "linux"),
            container: is_there("/.dockerenv") || is_there("/run/.containerenv"),
            apparmor: fs::read_to_string(restricts).is_ok_and(|switch| switch.trim() == "1"),
        }
    }
}
