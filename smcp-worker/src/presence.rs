//! Whether a worker lives: each holds a lock on a file as long as it does, which the system releases at its death,
//! however it dies. Survivors on the same machine need not wait for its lease to run out.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use smcp_common::queue::{LEASE, Queue, QueueError, WorkerInfo};
use uuid::Uuid;

#[cfg(target_os = "linux")]
use crate::sandbox::cgroup::Delegation;

/// A link in a worker's directory to a scratch directory elsewhere.
const OUTSIDE: &str = "outside";

/// This worker's directory: its lock and the working directories of its attempts. Where it is not removed in
/// [`Presence::end`], the next worker takes this one for dead, and removes it.
#[derive(Debug)]
pub(crate) struct Presence {
    id: String,
    directory: PathBuf,
    _lock: File,
}

impl Presence {
    /// Begins a life beside `database`.
    ///
    /// # Errors
    /// What the system says when the directory cannot be made or the file cannot be locked.
    pub(crate) fn begin(database: &Path) -> io::Result<Self> {
        let id = format!("w-{}", &Uuid::new_v4().simple().to_string()[..12]);
        let siblings = siblings(database);
        let draft = siblings.join(format!(".{id}"));
        fs::create_dir_all(draft.join("scratch"))?;
        let lock = File::create_new(draft.join("lock"))?;
        lock.lock()?;
        // Appears with its lock held: somebody who saw it free would take us for dead.
        let directory = siblings.join(&id);
        fs::rename(draft, &directory)?;
        Ok(Self {
            id,
            directory,
            _lock: lock,
        })
    }

    /// The worker's id; another one with every start.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Where attempts get their working directories.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.directory.join("scratch")
    }

    /// Where attempts get their working directories when their users cannot reach [`scratch`](Self::scratch), for the
    /// data directory is closed to them. It goes with this worker's directory.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open_scratch(&self) -> io::Result<PathBuf> {
        let passable = Permissions::from_mode(0o711);
        let mut builder = tempfile::Builder::new();
        let outside = builder
            .prefix("smcp-scratch-")
            .permissions(passable)
            .tempdir()?;
        symlink(outside.path(), self.directory.join(OUTSIDE))?;
        Ok(outside.keep())
    }

    /// Where all workers of this database have their directories.
    pub(crate) fn siblings(&self) -> &Path {
        self.directory.parent().unwrap_or(&self.directory)
    }

    /// Ends a life that has left nothing to settle.
    pub(crate) fn end(self) {
        remove(&self.directory);
    }
}

/// Whether a worker lives that would run the jobs of `queue`. One on another machine is believed as long as a lease
/// lasts.
///
/// # Errors
/// Database errors.
pub fn is_served(queue: &Queue) -> Result<bool, QueueError> {
    let siblings = siblings(queue.path());
    let now = queue.clock().now();
    let lives = |worker: &WorkerInfo| {
        let directory = siblings.join(&worker.id);
        if directory.exists() {
            !is_dead(&directory)
        } else {
            // Either way: the clock may have been set back since.
            now.since(worker.last_seen).max(worker.last_seen.since(now)) < LEASE
        }
    };
    Ok(queue.workers()?.iter().any(lives))
}

/// Settles the jobs of workers that have died on this machine, and removes what they left.
pub(crate) async fn settle_the_dead(queue: &Queue, siblings: &Path) -> Result<(), QueueError> {
    let dead = dead(siblings);
    if dead.is_empty() {
        return Ok(());
    }
    let workers = queue.workers()?;
    for (id, directory) in dead {
        if let Some(worker) = workers.iter().find(|worker| worker.id == id) {
            let jobs = queue.lose_worker(&id).await?;
            tracing::warn!(
                worker.id = id,
                worker.pid = worker.pid,
                jobs,
                "a worker has died; its jobs are settled"
            );
        }
        #[cfg(target_os = "linux")]
        if let Ok(delegation) = Delegation::find() {
            delegation.sweep(|worker| worker == id);
        }
        // It may also have died before it was known, or its plugin may have been too busy to let the directory go.
        remove(&directory);
    }
    Ok(())
}

/// The workers that have died, with their directories.
fn dead(siblings: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(siblings) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let id = entry.file_name().into_string().ok()?;
            (!id.starts_with('.') && is_dead(&entry.path())).then(|| (id, entry.path()))
        })
        .collect()
}

/// A missing file proves nothing: the worker may live on another machine, and its lease decides.
fn is_dead(directory: &Path) -> bool {
    File::open(directory.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok())
}

fn siblings(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-workers");
    name.into()
}

fn remove(directory: &Path) {
    if let Ok(outside) = fs::read_link(directory.join(OUTSIDE)) {
        // What cannot be removed is in the directory for temporary files, where the system sees to it.
        fs::remove_dir_all(outside).ok();
    }
    // The lock last: as long as it is there, what could not be removed is found again.
    let removed = match fs::remove_dir_all(directory.join("scratch")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => fs::remove_dir_all(directory),
    };
    if let Err(error) = removed {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a worker's directory cannot be removed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_dead_when_its_lock_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let begin = || Presence::begin(&directory.path().join("smcp.db")).unwrap();
        let (alive, ended, died) = (begin(), begin(), begin());
        assert_eq!(dead(alive.siblings()), []);
        let (left, removed) = (
            (died.id.clone(), died.directory.clone()),
            ended.directory.clone(),
        );
        ended.end();
        drop(died);
        assert!(!removed.exists());
        assert_eq!(dead(alive.siblings()), std::slice::from_ref(&left));
        remove(&left.1);
        assert_eq!(dead(alive.siblings()), []);
        assert!(alive.scratch().exists());
    }
}
