//! The data directory: created for its owner alone, and locked by one `smcp up` at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Creates the directory, where it is missing, for its owner alone.
///
/// # Errors
/// What the system says, with the name of the directory.
pub(crate) fn create(directory: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot create the data directory {}", directory.display()))
}

/// Holds a data directory for one `smcp up`, until it is dropped or its process is gone.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Takes the lock, and leaves our process id in the file for whoever comes second.
    ///
    /// # Errors
    /// Another `smcp up` holds it, or the file cannot be made.
    pub(crate) fn take(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join("up.lock");
        let cannot = || format!("cannot lock {}", path.display());
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = open.with_context(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).with_context(cannot)?;
                bail!(
                    "another smcp up (pid {}) runs on the data directory {}; stop it, or choose another with --data-dir",
                    holder.trim(),
                    directory.display()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .with_context(cannot)?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_created_belongs_to_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("a/b");
        create(&data).unwrap();
        create(&data).unwrap();
        assert_eq!(
            std::fs::metadata(&data).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn one_lock_at_a_time_and_the_second_names_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let refused = Lock::take(directory.path()).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("pid {}", std::process::id())),
            "{refused}"
        );
        drop(first);
        Lock::take(directory.path()).unwrap();
    }
}
