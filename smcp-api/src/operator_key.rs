//! The key of this machine's operator: made at the first start, readable by its owner alone, shown by the command
//! line to the API.

use std::io;
use std::path::Path;

use rand::RngExt as _;
use smcp_common::key_file;

/// So that scanners for leaked secrets can recognise a key.
const PREFIX: &str = "smcp_";
/// 43 characters of 62 carry 256 bits.
const LENGTH: usize = 43;

/// Reads the key in `path`, or makes one. Several processes may do so at once: the first one's key counts.
///
/// # Errors
/// What the system says when the file can neither be read nor made.
pub fn read_or_make(path: &Path) -> io::Result<String> {
    let key = key_file::read_or_write(path, make)?;
    Ok(key.to_string())
}

/// Reads the key in `path`.
///
/// # Errors
/// What the system says when the file cannot be read.
pub fn read(path: &Path) -> io::Result<String> {
    Ok(key_file::read_text(path)?.to_string())
}

/// A new key for the bearer of it.
pub(crate) fn make() -> String {
    let mut rng = rand::rng();
    let random: String = (0..LENGTH)
        .map(|_| char::from(rng.sample(rand::distr::Alphanumeric)))
        .collect();
    format!("{PREFIX}{random}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operator.key");
        let key = read_or_make(&path).unwrap();
        assert!(key.starts_with(PREFIX) && key.len() == PREFIX.len() + LENGTH);
        assert_eq!(read_or_make(&path).unwrap(), key);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
