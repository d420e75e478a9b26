//! Whether a worker lives: each holds a lock on a file as long as it does, which the system releases at its death,
//! however it dies. Survivors on the same machine need not wait for its lease to run out.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use smcp_common::queue::{Queue, QueueError};
use uuid::Uuid;

/// This worker's directory: its lock and the working directories of its attempts. Removed with it.
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
        let directory = siblings(database).join(&id);
        fs::create_dir_all(directory.join("scratch"))?;
        let lock = File::create_new(directory.join("lock"))?;
        lock.lock()?;
        Ok(Self { id, directory, _lock: lock })
    }

    /// The worker's id; another one with every start.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Where attempts get their working directories.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.directory.join("scratch")
    }

    /// Where all workers of this database have their directories.
    pub(crate) fn siblings(&self) -> &Path {
        self.directory.parent().unwrap_or(&self.directory)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}

/// Settles the jobs of workers that have died on this machine, and removes what they left.
pub(crate) async fn settle_the_dead(queue: &Queue, siblings: &Path) -> Result<(), QueueError> {
    for worker in queue.workers()? {
        let directory = siblings.join(&worker.id);
        if is_dead(&directory) {
            let jobs = queue.lose_worker(&worker.id).await?;
            tracing::warn!(worker.id = worker.id, worker.pid = worker.pid, jobs, "a worker has died; its jobs are settled");
            remove(&directory);
        }
    }
    Ok(())
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
    if let Err(error) = fs::remove_dir_all(directory) {
        tracing::debug!(error = &error as &dyn std::error::Error, "a worker's directory cannot be removed");
    }
}
