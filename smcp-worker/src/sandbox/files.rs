//! Landlock: which files a plugin may open, which ports it may connect to, and whom it may signal.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _,
    RulesetError, Scope,
};

use super::policy::{DEVICES, OWN_WRITABLE, Policy, RESOLVER, Reach, SYSTEM};

/// What may be read of `/proc` where it is the host's: nothing of other processes.
const HOST_PROC: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys",
    "/proc/uptime",
    "/proc/version",
];
/// What may be read besides where there is no root of its own to hold a version for the plugin.
const HOST_ETC: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// Why the rules are not in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    /// This program does not know the version, or the kernel does not have it.
    #[error("Landlock ABI {0} cannot be used")]
    Version(i32),
    /// The kernel refuses them.
    #[error("{0}")]
    Rules(#[from] RulesetError),
}

/// Restricts this process, and what it starts from now on, to what `policy` lets it open, reach and signal.
///
/// Paths that do not exist, or cannot be reached, are passed over: there is nothing to allow.
///
/// # Errors
/// [`FilesError`]; every rule of that version is in force, or none.
pub(super) fn apply(policy: &Policy, version: i32) -> Result<(), FilesError> {
    let abi = known(version).ok_or(FilesError::Version(version))?;
    let restricts_ports = version >= 4 && policy.network != Reach::Everybody;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    if restricts_ports {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    if version >= 6 {
        ruleset = ruleset.scope(Scope::from_all(abi))?;
    }
    let mut ruleset = ruleset.create()?;
    let read = AccessFs::from_read(abi);
    let write = AccessFs::from_all(abi) & !(AccessFs::MakeBlock | AccessFs::MakeChar);
    for path in readable(policy) {
        ruleset = allow(ruleset, &path, read, abi)?;
    }
    let mut writable = policy.write.clone();
    writable.extend(DEVICES.map(PathBuf::from));
    if policy.namespaces.is_some() {
        writable.extend(OWN_WRITABLE.map(PathBuf::from));
    }
    for path in writable {
        ruleset = allow(ruleset, &path, write, abi)?;
    }
    if restricts_ports {
        for &port in ports(policy) {
            ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
        }
    }
    ruleset.restrict_self()?;
    Ok(())
}

/// What may be read. In a root of its own that is whatever is there.
fn readable(policy: &Policy) -> Vec<PathBuf> {
    if policy.namespaces.is_some() {
        return vec![PathBuf::from("/")];
    }
    let resolver = (policy.network == Reach::Everybody).then_some(RESOLVER);
    let fixed = SYSTEM.iter().chain(&HOST_PROC).chain(&HOST_ETC).copied();
    let asked = policy.read.iter().cloned();
    fixed
        .chain(resolver)
        .map(PathBuf::from)
        .chain(asked)
        .collect()
}

fn ports(policy: &Policy) -> &[u16] {
    match &policy.network {
        Reach::Ports(ports) => ports,
        Reach::Proxy(port) => std::slice::from_ref(port),
        Reach::Nobody | Reach::Everybody => &[],
    }
}

fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    abi: ABI,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(fd) = PathFd::new(path) else {
        return Ok(ruleset);
    };
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(abi)
    };
    ruleset.add_rule(PathBeneath::new(fd, access))
}

fn known(version: i32) -> Option<ABI> {
    Some(match version {
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8 => ABI::V8,
        9.. => ABI::V9,
        _ => return None,
    })
}
