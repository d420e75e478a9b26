//! A cgroup (version 2) of its own for each run: what all of its processes use together is limited and counted, and
//! they are ended together.
//!
//! A worker asks once whether it may make cgroups below its own: systemd or a container engine must have handed that
//! part of the hierarchy over (delegated it). The kernel gives controllers only to children of cgroups without
//! processes: where there is nobody but SMCP in its cgroup, everybody moves into a child. Others are never moved.

mod group;
mod place;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use rustix::io::Errno;

use self::group::{children, processes, write};
use self::place::places;

pub use self::group::{Cgroup, Hits, join};

/// The child into which SMCP itself moves; also what `DelegateSubgroup=` of a unit may say.
const HOME: &str = "smcp";
/// What the names of all other children begin with.
const PREFIX: &str = "smcp-";
/// How often others who do the same at the same time may come between.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(2);

const REMEDY: &str = "under systemd, put `Delegate=memory pids cpu` into the unit; in a container, let it have a cgroup namespace of \
     its own that is mounted writable";

/// A part of the cgroup hierarchy in which this process may make cgroups.
#[derive(Debug, Clone)]
pub struct Delegation {
    base: PathBuf,
    controllers: Controllers,
}

/// What cgroups below a [`Delegation`] can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "any of them may be there without the others"
)]
pub struct Controllers {
    /// Limit memory.
    pub memory: bool,
    /// Limit the number of processes and threads.
    pub pids: bool,
    /// Share out processor time. It is counted without that as well, see [`Cgroup::cpu_usage`].
    pub cpu: bool,
    /// End all processes at once.
    pub kill: bool,
}

impl Delegation {
    /// Finds out by trying. Any number of processes may do so at once.
    ///
    /// This process, and others of the same program, may be in another cgroup afterwards.
    ///
    /// # Errors
    /// A sentence that says why there can be no cgroups, and what to do about it.
    pub fn find() -> Result<Self, String> {
        let own = own()?;
        let base = match own.parent() {
            Some(parent) if own.file_name() == Some(OsStr::new(HOME)) && is_ours(parent) => parent,
            Some(_) | None => &own,
        };
        let shown = base.display();
        let refused = |error: io::Error| {
            format!("the worker may make no cgroups in {shown} ({error}): {REMEDY}")
        };
        // A directory that only looks like a delegated one to root, who may write anywhere.
        if rustix::process::geteuid().is_root() && is_unit(base) && !is_delegated(base) {
            return Err(format!(
                "systemd manages the cgroup {shown} itself and may undo what the worker does there: put \
                 `Delegate=memory pids cpu` into the unit"
            ));
        }
        let probe = base.join(format!("{PREFIX}probe-{}", std::process::id()));
        match fs::create_dir(&probe) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused(error));
            }
            Ok(()) | Err(_) => {}
        }
        let enabled = enable(base);
        let controllers = Controllers {
            memory: write(&probe, "memory.max", "max").is_ok(),
            pids: write(&probe, "pids.max", "max").is_ok(),
            cpu: write(&probe, "cpu.weight", "100").is_ok(),
            kill: write(&probe, "cgroup.kill", "1").is_ok(),
        };
        let removed = fs::remove_dir(&probe);
        enabled?;
        removed.map_err(refused)?;
        Ok(Self {
            base: base.to_owned(),
            controllers,
        })
    }

    /// What the cgroups made here can do.
    pub fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// A sentence that says which limits cannot be had and what to do about it; `None` where there are all.
    pub fn shortfall(&self) -> Option<String> {
        let Controllers {
            memory, pids, cpu, ..
        } = self.controllers;
        let missing: Vec<_> = [("memory", memory), ("pids", pids), ("cpu", cpu)]
            .into_iter()
            .filter_map(|(name, there)| (!there).then_some(name))
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "the cgroup {} (version 2) has no controller {}: {REMEDY}; where the system still uses version 1, boot it \
                 with `systemd.unified_cgroup_hierarchy=1`",
                self.base.display(),
                missing.join(", "),
            )
        })
    }

    /// Makes an empty cgroup. `name` begins with the worker's id and a hyphen, see [`Delegation::sweep`], and is another
    /// one each time. Without a limit there is none; swap is not used.
    ///
    /// # Errors
    /// What the system says, also where a limit is wanted whose controller is not there.
    pub fn create(
        &self,
        name: &str,
        memory_max_bytes: Option<u64>,
        pids_max: Option<u64>,
    ) -> io::Result<Cgroup> {
        if name.contains('/') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let path = self.base.join(format!("{PREFIX}{name}"));
        fs::create_dir(&path)?;
        let group = Cgroup::at(path);
        if let Some(bytes) = memory_max_bytes {
            group.limit_memory(bytes)?;
        }
        if let Some(processes) = pids_max {
            group.limit_processes(processes)?;
        }
        Ok(group)
    }

    /// Ends and removes what workers have left of whose id `is_dead` is certain. Workers of other databases may make
    /// theirs here, too: of those nothing is known.
    pub fn sweep(&self, is_dead: impl Fn(&str) -> bool) {
        let of_the_dead = |path: &PathBuf| path.file_name().and_then(owner).is_some_and(&is_dead);
        // Adopted and dropped.
        children(&self.base)
            .into_iter()
            .filter(of_the_dead)
            .map(Cgroup::at)
            .for_each(drop);
    }
}

/// The worker that has made the cgroup `name`: `w-1f2e` of `smcp-w-1f2e-7`.
fn owner(name: &OsStr) -> Option<&str> {
    let (worker, _) = name.to_str()?.strip_prefix(PREFIX)?.rsplit_once('-')?;
    Some(worker)
}

/// The directory of this process's cgroup.
fn own() -> Result<PathBuf, String> {
    let read = |file| {
        let bytes = fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mountinfo = read("/proc/self/mountinfo")?;
    // Another process may just be moving this one.
    for _ in 0..ATTEMPTS {
        let places = places(&read("/proc/self/cgroup")?, &mountinfo)?;
        let is_here = |place: &PathBuf| {
            processes(place).is_ok_and(|found| found.contains(&std::process::id()))
        };
        if let Some(place) = places.into_iter().find(is_here) {
            return Ok(place);
        }
        thread::sleep(PAUSE);
    }
    Err(format!(
        "the cgroup of this process is not to be found where cgroups are mounted: {REMEDY}"
    ))
}

/// Gives the children of `base` all controllers that there are.
fn enable(base: &Path) -> Result<(), String> {
    let is_in = |file, controller| {
        let list = fs::read_to_string(base.join(file)).unwrap_or_default();
        list.split_ascii_whitespace().any(|name| name == controller)
    };
    // Only the root of all lacks a type, and is free to have processes as well.
    let is_root = !base.join("cgroup.type").exists();
    for controller in ["memory", "pids", "cpu"] {
        if !is_in("cgroup.controllers", controller) {
            continue;
        }
        for _ in 0..ATTEMPTS {
            if !is_root {
                // Not all controllers demand it, but with processes in `base` the others would turn its children into
                // cgroups for threads, which no process can join.
                move_home(base)?;
            }
            if is_in("cgroup.subtree_control", controller) {
                break;
            }
            match write(base, "cgroup.subtree_control", &format!("+{controller}")) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(PAUSE),
                // The probe tells what there is.
                Ok(()) | Err(_) => break,
            }
        }
    }
    Ok(())
}

/// Moves every process of `base` into the child [`HOME`], if all of them are SMCP.
fn move_home(base: &Path) -> Result<(), String> {
    let shown = base.display();
    let failed =
        |error| format!("the worker cannot move within the cgroup {shown} ({error}): {REMEDY}");
    let home = base.join(HOME);
    for _ in 0..ATTEMPTS {
        let found = processes(base).map_err(failed)?;
        if found.is_empty() {
            return Ok(());
        }
        // All are looked at before the first is moved.
        if let Some(foreign) = found.iter().find(|&&pid| is_foreign(pid)) {
            let name = fs::read_to_string(format!("/proc/{foreign}/comm")).unwrap_or_default();
            return Err(format!(
                "the cgroup {shown} holds other programs than SMCP (process {foreign}, {}), which are not moved: start SMCP \
                 in one of its own, by a systemd unit with `Delegate=memory pids cpu` or with `systemd-run --scope -p \
                 Delegate=yes` (`--user` for users), and in a container as its only program",
                name.trim(),
            ));
        }
        match fs::create_dir(&home) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
        for pid in found {
            match write(&home, "cgroup.procs", &pid.to_string()) {
                Err(error) if error.raw_os_error() != Some(Errno::SRCH.raw_os_error()) => {
                    return Err(failed(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        thread::sleep(PAUSE);
    }
    Err(failed(io::ErrorKind::ResourceBusy.into()))
}

/// Whether a process runs another program than this one. One that is just ending does not.
fn is_foreign(pid: u32) -> bool {
    // Rather than by its name, which says nothing after an upgrade.
    let program = |pid: &str| {
        let file = fs::metadata(format!("/proc/{pid}/exe"))?;
        Ok::<_, io::Error>((file.dev(), file.ino()))
    };
    match (program(&pid.to_string()), program("self")) {
        (Ok(theirs), Ok(ours)) => theirs != ours,
        // Number 0 is a process of another process namespace.
        (Err(error), Ok(_)) => pid == 0 || error.kind() != io::ErrorKind::NotFound,
        (Ok(_) | Err(_), Err(_)) => true,
    }
}

/// Whether `base`, the parent of a cgroup named [`HOME`], is one that SMCP has divided.
fn is_ours(base: &Path) -> bool {
    let ours = |path: PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        // systemd makes the second one, for commands such as `ExecReload=`.
        [HOME, ".control"].contains(&name) || name.starts_with(PREFIX)
    };
    base.join("cgroup.procs").exists() && children(base).into_iter().all(ours)
}

/// Whether systemd made the cgroup for a unit.
fn is_unit(base: &Path) -> bool {
    let kind = base.extension().and_then(OsStr::to_str);
    matches!(kind, Some("service" | "scope"))
}

/// Whether systemd has marked the cgroup of a unit as delegated.
fn is_delegated(base: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0; 8];
        rustix::fs::getxattr(base, *name, &mut value[..])
            .is_ok_and(|length| value[..length] == *b"1")
    })
}
