//! One cgroup, from its making to its removal.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long killed processes may take to disappear before a cgroup is left to the next sweep.
const CLEAR_LIMIT: Duration = Duration::from_millis(500);
const CLEAR_ROUND: Duration = Duration::from_millis(1);

/// A cgroup for one run. Dropping it ends what is left in it and removes it, which may block for half a second where
/// its processes do not go away.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    is_removed: bool,
}

/// Which limits the processes of a cgroup have run into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits {
    /// They needed more memory, and were killed for it.
    pub memory: bool,
    /// They wanted to be more, and were refused.
    pub processes: bool,
}

/// Moves this process, with all of its threads, into the cgroup at `path`. What it starts from then on is born there.
///
/// # Errors
/// What the system says.
pub fn join(path: &Path) -> io::Result<()> {
    write(path, "cgroup.procs", "0")
}

impl Cgroup {
    /// The one at `path`, which is from now on this one's to remove.
    pub(super) fn at(path: PathBuf) -> Self {
        Self {
            path,
            is_removed: false,
        }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which limits were hit so far.
    pub fn hits(&self) -> Hits {
        let counted = |file, key| counter(&self.path, file, key).is_some_and(|count| count > 0);
        Hits {
            memory: counted("memory.events", "oom_kill"),
            processes: counted("pids.events", "max"),
        }
    }

    /// Processor time that its processes have used together, those that have ended included. `None` where the kernel
    /// does not count.
    pub fn cpu_usage(&self) -> Option<Duration> {
        counter(&self.path, "cpu.stat", "usage_usec").map(Duration::from_micros)
    }

    /// Kills all that is in it. Does not wait until it is gone.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&self) -> io::Result<()> {
        kill(&self.path)
    }

    /// Ends what is left in it, and removes it.
    ///
    /// # Errors
    /// What the system says where it is still there after half a second.
    pub fn remove(mut self) -> io::Result<()> {
        self.is_removed = true;
        clear(&self.path)
    }

    pub(super) fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        write(&self.path, "memory.max", &bytes.to_string())?;
        // Older kernels, and those without swap, lack these.
        for (file, value) in [("memory.swap.max", "0"), ("memory.oom.group", "1")] {
            match write(&self.path, file, value) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn limit_processes(&self, processes: u64) -> io::Result<()> {
        write(&self.path, "pids.max", &processes.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if self.is_removed {
            return;
        }
        if let Err(error) = clear(&self.path) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                cgroup = %self.path.display(),
                "a cgroup cannot be removed"
            );
        }
    }
}

/// Ends what is in the cgroup at `path` and below, and removes it all.
fn clear(path: &Path) -> io::Result<()> {
    let give_up_at = Instant::now() + CLEAR_LIMIT;
    loop {
        match remove(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                if Instant::now() >= give_up_at {
                    return Err(error);
                }
            }
            ended => return ended,
        }
        // Somebody else may have removed it; what else fails shows in that it stays.
        kill(path).ok();
        thread::sleep(CLEAR_ROUND);
    }
}

/// Removes an empty cgroup with those below.
fn remove(path: &Path) -> io::Result<()> {
    for child in children(path) {
        remove(&child)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        ended => ended,
    }
}

fn kill(path: &Path) -> io::Result<()> {
    match write(path, "cgroup.kill", "1") {
        // Kernels before 5.14.
        Err(error) if error.kind() == io::ErrorKind::NotFound => kill_each(path),
        ended => ended,
    }
}

/// Kills the processes of a cgroup and those below until there are no new ones, which their number bounds.
fn kill_each(path: &Path) -> io::Result<()> {
    // Stops them from multiplying meanwhile; killed they are all the same.
    write(path, "cgroup.freeze", "1").ok();
    let give_up_at = Instant::now() + CLEAR_LIMIT;
    loop {
        let mut found = Vec::new();
        list(path, &mut found)?;
        if found.is_empty() || Instant::now() >= give_up_at {
            return Ok(());
        }
        let raw = found.into_iter().filter_map(|pid| pid.try_into().ok());
        for pid in raw.filter_map(Pid::from_raw) {
            kill_process(pid, Signal::KILL).ok();
        }
        thread::sleep(CLEAR_ROUND);
    }
}

fn list(path: &Path, found: &mut Vec<u32>) -> io::Result<()> {
    match processes(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => found.extend(listed?),
    }
    for child in children(path) {
        list(&child, found)?;
    }
    Ok(())
}

/// The processes of a cgroup; those of other process namespaces as 0.
pub(super) fn processes(path: &Path) -> io::Result<Vec<u32>> {
    let list = fs::read_to_string(path.join("cgroup.procs"))?;
    Ok(list.lines().filter_map(|pid| pid.parse().ok()).collect())
}

/// The cgroups directly below.
pub(super) fn children(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Writes to a file of the kernel's, which must be there.
pub(super) fn write(path: &Path, file: &str, value: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path.join(file))?;
    file.write_all(value.as_bytes())
}

/// The number after `key` in a file of the kernel's.
fn counter(path: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path.join(file)).ok()?;
    count(&text, key)
}

/// The number after `key` in lines of a key and a number each.
pub(super) fn count(text: &str, key: &str) -> Option<u64> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    let (_, number) = pairs.find(|&(name, _)| name == key)?;
    number.parse().ok()
}
