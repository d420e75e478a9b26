//! The cgroups of a worker's runs.

use std::convert::Infallible;
use std::io;
use std::num::NonZero;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use smcp_common::sandbox::Profile;

use super::cgroup::{Cgroup, Delegation};
use crate::doctor::{self, Lack};
use crate::plugin::process::Ended;

/// Between two looks at a limit that is nearly used up.
const LEAST: Duration = Duration::from_millis(100);

/// To find them out means to read a few files.
static PROCESSORS: LazyLock<u32> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, NonZero::get);
    u32::try_from(processors).unwrap_or(u32::MAX)
});

/// Makes cgroups for runs, where that is possible.
#[derive(Debug)]
pub(crate) struct Cgroups {
    delegation: Result<Delegation, String>,
    /// Whose they are: a worker's id.
    owner: String,
    made: AtomicU64,
}

impl Cgroups {
    /// Finds out whether that is possible.
    pub(crate) fn find(owner: String) -> Self {
        Self {
            delegation: Delegation::find(),
            owner,
            made: AtomicU64::new(0),
        }
    }

    /// What there is, for the doctor.
    pub(crate) fn fact(&self) -> Result<doctor::Cgroup, Lack> {
        let delegation = self.delegation.as_ref().map_err(Lack::new)?;
        let found = delegation.controllers();
        Ok(doctor::Cgroup {
            memory: found.memory,
            pids: found.pids,
            cpu: true,
            kill: found.kill,
        })
    }

    /// An empty one with the limits of `profile`; `None` where there are none.
    pub(crate) fn create(&self, profile: &Profile) -> io::Result<Option<Cgroup>> {
        let Ok(delegation) = &self.delegation else {
            return Ok(None);
        };
        let found = delegation.controllers();
        let limits = &profile.limits;
        // What is in the scratch directory is memory.
        let memory = limits.memory_bytes().filter(|_| found.memory);
        let memory = memory.map(|bytes| bytes + profile.scratch_bytes());
        // The first process of the namespace counts as well.
        let processes = found.pids.then_some(limits.processes + 1);
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.owner);
        delegation.create(&name, memory, processes).map(Some)
    }
}

/// Has `run` take place in `group`, and tells which of its limits that has run into.
///
/// # Errors
/// Those of `run`.
pub(crate) async fn watched<E>(
    group: &Cgroup,
    cpu_s: Option<u64>,
    run: impl Future<Output = Result<Ended, E>>,
) -> Result<Ended, E> {
    // A waiting interpreter has had calls before.
    let (used, before) = (group.cpu_usage().unwrap_or_default(), group.hits());
    let limit = cpu_s.map_or(Duration::MAX, |limit| used + Duration::from_secs(limit));
    let mut ended = tokio::select! {
        ended = run => ended?,
        never = watch(group, limit, used) => match never {},
    };
    let after = group.hits();
    ended.hit.memory |= after.memory && !before.memory;
    ended.hit.processes |= after.processes && !before.processes;
    ended.cpu = group.cpu_usage().map(|now| now.saturating_sub(used));
    Ok(ended)
}

/// Kills what is in `group` once it has used `limit` of processor time. Does not end.
async fn watch(group: &Cgroup, limit: Duration, mut used: Duration) -> Infallible {
    loop {
        // All processors together cannot use it up sooner.
        let soonest = limit.saturating_sub(used) / *PROCESSORS;
        tokio::time::sleep(soonest.max(LEAST)).await;
        used = group.cpu_usage().unwrap_or_default();
        if used >= limit {
            group.kill().ok();
        }
    }
}
