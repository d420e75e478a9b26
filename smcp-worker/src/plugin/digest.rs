//! A digest of a plugin's files: another digest means that the plugin has to be described again.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use smcp_common::canonical::hex;

/// Directories that hold what is installed or generated, not what the plugin says of itself.
const PASSED_OVER: [&str; 4] = ["__pycache__", "node_modules", "venv", "target"];
/// Of a larger file size and time of change stand for its content.
const READ_BYTES: u64 = 1024 * 1024;
/// A plugin of more files than this is a mistake, such as a link to the root directory.
const MAX_FILES: usize = 10_000;

/// SHA-256 over the names and contents of the files in `directory`, and over `salt`.
///
/// # Errors
/// What the system says when a directory or file cannot be read, or that there are too many.
pub(super) fn digest(directory: &Path, salt: &str) -> io::Result<String> {
    let mut hasher = Sha256::new_with_prefix(salt);
    let mut files = 0;
    walk(directory, Path::new(""), &mut hasher, &mut files)?;
    Ok(hex(&hasher.finalize()))
}

/// Whether a file or directory of that name, in a plugin's directory or below, is part of the plugin.
pub(super) fn counts(name: &OsStr, is_directory: bool) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    let passed_over = is_directory && PASSED_OVER.iter().any(|passed| name == *passed);
    !hidden && !passed_over
}

fn walk(root: &Path, below: &Path, hasher: &mut Sha256, files: &mut usize) -> io::Result<()> {
    let mut entries = fs::read_dir(root.join(below))?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let path = below.join(&name);
        if !counts(&name, kind.is_dir()) {
            continue;
        }
        if kind.is_dir() {
            walk(root, &path, hasher, files)?;
            continue;
        }
        *files += 1;
        if *files > MAX_FILES {
            return Err(io::Error::other(format!(
                "it has more than {MAX_FILES} files"
            )));
        }
        hasher.update(path.as_os_str().as_encoded_bytes());
        file(&root.join(path), hasher)?;
    }
    Ok(())
}

fn file(path: &Path, hasher: &mut Sha256) -> io::Result<()> {
    let Ok(metadata) = fs::metadata(path) else {
        // A dangling link: that it is one is all there is to say of it.
        hasher.update([0]);
        return Ok(());
    };
    hasher.update(metadata.mode().to_le_bytes());
    if metadata.is_file() && metadata.len() <= READ_BYTES {
        let content = fs::read(path)?;
        hasher.update(content.len().to_le_bytes());
        hasher.update(content);
    } else {
        hasher.update(metadata.len().to_le_bytes());
        hasher.update(metadata.mtime().to_le_bytes());
        hasher.update(metadata.mtime_nsec().to_le_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_consists_of_changes_it_and_what_it_leaves_behind_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let of = |salt: &str| digest(directory.path(), salt).unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("cli.py", "1");
        let first = of("");
        write("__pycache__/cli.pyc", "x");
        write(".venv/lib/x.py", "x");
        assert_eq!(of(""), first);
        assert_ne!(of("another interpreter"), first);
        write("lib/more.py", "x");
        let second = of("");
        assert_ne!(second, first);
        write("cli.py", "2");
        assert_ne!(of(""), second);
    }
}
