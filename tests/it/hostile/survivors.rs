//! Whether anything of an attack lives: each of its processes holds a lock, which the kernel frees with the last one.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::peers::kill;
use super::ways::{Arena, SOON};
use crate::processes;
use crate::world::eventually;

/// The lock of one attack.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
}

impl Lock {
    /// A lock by that name, which nobody holds yet.
    pub(super) fn new(arena: &Arena, name: &str) -> Self {
        let path = arena.path("granted").join(name);
        Self { path }
    }

    /// A plan for an attack that holds it and leaves `kinds` behind.
    pub(super) fn plan(&self, kinds: &[&str]) -> Value {
        json!({"lock": self.path, "leave": kinds, "gate": self.gate()})
    }

    /// The last part of its path.
    pub(super) fn file_name(&self) -> Option<&std::ffi::OsStr> {
        self.path.file_name()
    }

    fn gate(&self) -> PathBuf {
        self.path.with_extension("gate")
    }

    /// Lets whoever waits go on.
    pub(super) fn open_gate(&self) {
        File::create(self.gate()).unwrap();
    }

    /// Waits until everything has been left behind that is to be.
    pub(super) fn wait_until_ready(&self) {
        let ready = PathBuf::from(format!("{}.ready", self.path.display()));
        eventually("the attack is ready", || ready.exists().then_some(()));
    }

    /// Whether any process of the attack lives.
    pub(super) fn is_held(&self) -> bool {
        let lock = File::open(&self.path).unwrap();
        match lock.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => panic!("{error}"),
        }
    }

    /// Kills those that do.
    pub(super) fn kill_holders(&self) {
        for pid in processes::all() {
            let open = fs::read_dir(format!("/proc/{pid}/fd"));
            let mut open = open.into_iter().flatten().flatten();
            if open.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == self.path)) {
                kill(pid);
            }
        }
    }

    /// Waits until none does, and answers how long that took.
    pub(super) fn released(&self) -> Duration {
        let begun = Instant::now();
        eventually("every process of the attack has ended", || {
            (!self.is_held()).then_some(())
        });
        begun.elapsed()
    }

    /// Asserts that none lives soon after whatever was to end them.
    pub(super) fn assert_released_soon(&self, arena: &Arena, what: &str) {
        let took = self.released();
        arena.assert_held(
            "tree_kill",
            what,
            took < SOON,
            &json!(format!("gone after {} ms", took.as_millis())),
        );
    }
}
