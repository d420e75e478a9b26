//! The directory of rules: what is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use smcp_common::policy::RuleFile;

/// Larger files are no rules.
const MAX_BYTES: u64 = 1024 * 1024;

/// A directory of rules that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DirectoryError {
    /// A file of it, or it itself.
    #[error("rules cannot be read: {path}: {error}")]
    Io {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        error: Arc<io::Error>,
    },
    /// It is too large.
    #[error("rules cannot be read: {0} is larger than 1 MiB")]
    Large(PathBuf),
}

impl DirectoryError {
    /// It is not there.
    pub(super) fn absent(directory: &Path) -> Self {
        let advice = "there is no such directory; make an empty one to have no rules";
        Self::Io {
            path: directory.to_owned(),
            error: Arc::new(io::Error::new(io::ErrorKind::NotFound, advice)),
        }
    }
}

/// The files `*.cedar` of a directory, by name; `None` where it is not there.
///
/// # Errors
/// [`DirectoryError`]
pub fn read(directory: &Path) -> Result<Option<Vec<RuleFile>>, DirectoryError> {
    let Some(paths) = files(directory)? else {
        return Ok(None);
    };
    let mut files = Vec::new();
    for path in paths {
        let broken = |error| DirectoryError::Io {
            path: path.clone(),
            error: Arc::new(error),
        };
        if fs::metadata(&path).map_err(broken)?.len() > MAX_BYTES {
            return Err(DirectoryError::Large(path));
        }
        let name = path.file_name().unwrap_or_default();
        files.push(RuleFile {
            name: name.to_string_lossy().into_owned(),
            text: fs::read_to_string(&path).map_err(broken)?,
        });
    }
    Ok(Some(files))
}

/// What tells whether something in the directory has changed: of each file its length and when it was changed.
pub(super) type Fingerprint = Vec<(PathBuf, u64, SystemTime)>;

/// That of a directory, without reading its files; `None` where it cannot be told.
pub(super) fn fingerprint(directory: &Path) -> Option<Fingerprint> {
    let paths = files(directory).ok()??;
    let about = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok()?;
        Some((path, metadata.len(), metadata.modified().ok()?))
    };
    paths.into_iter().map(about).collect()
}

fn files(directory: &Path) -> Result<Option<Vec<PathBuf>>, DirectoryError> {
    let broken = |error| DirectoryError::Io {
        path: directory.to_owned(),
        error: Arc::new(error),
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(broken)?.path();
        let is_rules = path
            .extension()
            .is_some_and(|extension| extension == "cedar");
        let name = path.file_name().unwrap_or_default();
        // What editors leave beside a file that is being written.
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if is_rules && !is_hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(Some(paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_by_name_and_other_files_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policies");
        assert_eq!(read(&path).unwrap(), None);
        fs::create_dir(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Some(Vec::new()));
        for name in ["b.cedar", "a.cedar", "a.cedar~", ".#a.cedar", "README.md"] {
            fs::write(path.join(name), name).unwrap();
        }
        let names: Vec<_> = read(&path)
            .unwrap()
            .unwrap()
            .into_iter()
            .map(|file| file.name)
            .collect();
        assert_eq!(names, ["a.cedar", "b.cedar"]);
        let before = fingerprint(&path);
        fs::write(path.join("a.cedar"), "longer than before").unwrap();
        assert_ne!(fingerprint(&path), before);

        fs::write(path.join("c.cedar"), vec![b' '; 1024 * 1024 + 1]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("c.cedar is larger than 1 MiB"), "{error}");
        fs::write(path.join("c.cedar"), [0xff]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("c.cedar"));
    }
}
