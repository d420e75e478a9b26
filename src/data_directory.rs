//! The data directory: created for its owner alone, locked by one `smcp up`, with the operator's key in it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The 64 characters that are safe in a URL, a header and a shell.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
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
        let write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        { write }().with_context(cannot)?;
        Ok(Self(file))
    }
}

/// Makes the operator's key, unless it is there.
///
/// # Errors
/// What the system says, with the name of the file.
pub(crate) fn create_operator_key(file: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot create the operator's key {}", file.display());
    if fs::exists(file).with_context(cannot)? {
        return Ok(());
    }
    let random: [u8; 43] = rand::random();
    let key = random.map(|byte| ALPHABET[usize::from(byte % 64)]);
    // Written under another name first: a key that is half written must never be found.
    let partial = file.with_extension(format!("key-{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        out.write_all(&[b"smcp_", key.as_slice(), b"\n"].concat())?;
        out.sync_all()
    };
    let linked = write().and_then(|()| fs::hard_link(&partial, file));
    let removed = fs::remove_file(&partial);
    match linked {
        // Another process was faster; its key counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => removed.with_context(cannot),
        linked => linked.and(removed).with_context(cannot),
    }
}

/// The operator's key; `None` where there is none that we may read.
pub(crate) fn operator_key(file: &Path) -> Option<String> {
    let key = fs::read_to_string(file).ok()?;
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_created_belongs_to_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (data, key) = (directory.path().join("a/b"), directory.path().join("a/b/operator.key"));
        create(&data).unwrap();
        create(&data).unwrap();
        create_operator_key(&key).unwrap();
        assert_eq!((mode(&data), mode(&key)), (0o700, 0o600));
        let names: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["operator.key"], "nothing is left beside the key");
    }

    #[test]
    fn a_key_is_long_random_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let [one, two] = ["1.key", "2.key"].map(|name| {
            let file = directory.path().join(name);
            create_operator_key(&file).unwrap();
            let key = operator_key(&file).unwrap();
            create_operator_key(&file).unwrap();
            assert_eq!(operator_key(&file).unwrap(), key);
            key
        });
        assert_ne!(one, two);
        let random = one.strip_prefix("smcp_").unwrap();
        assert!(random.len() == 43 && random.bytes().all(|byte| ALPHABET.contains(&byte)), "{one}");
        assert_eq!(operator_key(&directory.path().join("none")), None);
    }

    #[test]
    fn one_lock_at_a_time_and_the_second_names_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let refused = Lock::take(directory.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        Lock::take(directory.path()).unwrap();
    }
}
