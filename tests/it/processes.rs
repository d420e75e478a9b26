//! Processes, as the system sees them.

use std::fs::{self, File, TryLockError};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Whether a process runs. One that has ended and was not reaped does not.
pub(crate) fn is_running(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| !stat.has_ended())
}

/// The children of a process that have ended and were not reaped.
pub(crate) fn zombies_of(parent: u32) -> Vec<u32> {
    let is_zombie =
        |pid: &u32| Stat::of(*pid).is_some_and(|stat| stat.parent == parent && stat.has_ended());
    all().filter(is_zombie).collect()
}

/// The running children of a process, oldest first.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let is_child =
        |pid: &u32| Stat::of(*pid).is_some_and(|stat| stat.parent == parent && !stat.has_ended());
    let mut children: Vec<_> = all().filter(is_child).collect();
    children.sort_unstable();
    children
}

/// Whether anybody holds the lock on a file. A process in a sandbox has a number that says nothing out here; but a lock
/// that it has taken stays, in whatever it has started as well, until all of them have ended.
pub(crate) fn is_locked(file: &Path) -> bool {
    match File::open(file).unwrap().try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => panic!("{}: {error}", file.display()),
    }
}

/// The process that has taken the lock on a file, by its number out here; `None` where nobody has.
pub(crate) fn locker_of(file: &Path) -> Option<u32> {
    let inode = format!(":{}", fs::metadata(file).unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().find_map(|lock| {
        // Its number in the list, kind, strictness, mode, process, file.
        let [_, "FLOCK", _, "WRITE", pid, locked, ..] =
            lock.split_whitespace().collect::<Vec<_>>()[..]
        else {
            return None;
        };
        pid.parse().ok().filter(|_| locked.ends_with(&inode))
    })
}

/// The running processes that have to do with a directory: they work in it, their arguments or their environment name
/// it, or it is a part of what they see as the file system.
pub(crate) fn of(directory: &Path) -> Vec<u32> {
    let name = directory.as_os_str().as_bytes();
    let concerns = |pid: &u32| {
        let process = Path::new("/proc").join(pid.to_string());
        let works_there =
            fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
        let names = |file: &str| {
            fs::read(process.join(file))
                .is_ok_and(|text| text.windows(name.len()).any(|part| part == name))
        };
        works_there || names("cmdline") || names("environ") || names("mountinfo")
    };
    all().filter(concerns).collect()
}

/// Every process there is.
pub(crate) fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

struct Stat {
    state: char,
    parent: u32,
}

impl Stat {
    /// `None` where there is no such process.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some(Self {
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
        })
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}
