//! Whether what an interpreter has loaded is still what is on disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Files and directories as they were at one time: an upgrade of the interpreter, of its environment or of a package
/// changes at least one of them.
#[derive(Debug)]
pub(super) struct Signature(Vec<(PathBuf, Option<Stat>)>);

/// Time of change in seconds and nanoseconds, size, and inode.
type Stat = (i64, i64, u64, u64);

impl Signature {
    /// Of `paths` as they are now.
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(
            paths
                .into_iter()
                .map(|path| (stat(&path), path))
                .map(|(stat, path)| (path, stat))
                .collect(),
        )
    }

    /// Whether all are as they were.
    pub(super) fn holds(&self) -> bool {
        self.0.iter().all(|(path, then)| stat(path) == *then)
    }
}

fn stat(path: &PathBuf) -> Option<Stat> {
    let found = fs::metadata(path).ok()?;
    Some((found.mtime(), found.mtime_nsec(), found.len(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_comes_or_goes_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let (packages, config) = (
            directory.path().join("site-packages"),
            directory.path().join("pyvenv.cfg"),
        );
        fs::create_dir(&packages).unwrap();
        let signature = Signature::of([packages.clone(), config.clone()]);
        assert!(signature.holds());
        fs::write(packages.join("new.py"), "").unwrap();
        assert!(!signature.holds());
        let signature = Signature::of([packages, config.clone()]);
        fs::write(config, "").unwrap();
        assert!(!signature.holds());
    }
}
