//! Limits of single processes, which every process of a plugin inherits.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::policy::Rlimits;

/// Between SIGXCPU, which a process may catch to say something, and SIGKILL, in seconds of processor time.
const CPU_GRACE_S: u64 = 2;

/// Limits this process and what it starts from now on. A limit that is lower already stays.
///
/// # Errors
/// What the kernel says.
pub(super) fn apply(limits: &Rlimits) -> io::Result<()> {
    let rows = [
        (Resource::As, limits.address_bytes, 0),
        (Resource::Data, limits.data_bytes, 0),
        (Resource::Nproc, limits.processes, 0),
        (Resource::Cpu, limits.cpu_s, CPU_GRACE_S),
        (Resource::Fsize, limits.file_bytes, 0),
        (Resource::Nofile, limits.open_files, 0),
        // A core would be a file of the plugin's memory, wherever the host is told to put it.
        (Resource::Core, Some(0), 0),
    ];
    for (resource, limit, grace) in rows {
        if let Some(limit) = limit {
            lower(resource, limit, limit.saturating_add(grace))?;
        }
    }
    Ok(())
}

fn lower(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let lowest = |limit: u64, now: Option<u64>| Some(now.map_or(limit, |now| now.min(limit)));
    let maximum = lowest(hard, now.maximum);
    let current = lowest(soft, maximum);
    setrlimit(resource, Rlimit { current, maximum })?;
    Ok(())
}
