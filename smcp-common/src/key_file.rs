//! Keys of this installation: each in a file of its own in the data directory, made at the first need, readable by its
//! owner alone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

/// A key of 256 bits.
pub type Key = Zeroizing<[u8; 32]>;

/// Reads the key in `path`, 64 hexadecimal digits, or makes a random one. Several processes may do so at once: the
/// first one's key counts.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidData`] where the file holds no key, or others may read it.
pub fn read_or_make(path: &Path) -> io::Result<Key> {
    read_or_write(path, || crate::canonical::hex(&rand::random::<[u8; 32]>()))
        .and_then(|text| decode(&text))
}

/// Reads the key in `path`.
///
/// # Errors
/// As for [`read_or_make`]; [`io::ErrorKind::NotFound`] where there is none.
pub fn read(path: &Path) -> io::Result<Key> {
    read_text(path).and_then(|text| decode(&text))
}

/// The same for a file that somebody else guards, whatever its mode.
///
/// # Errors
/// As for [`read`], but for the mode.
pub fn read_guarded(path: &Path) -> io::Result<Key> {
    decode(&trimmed(fs::read_to_string(path)?))
}

/// Reads the text in `path`, without white space at its ends, or writes what `make` makes.
///
/// # Errors
/// What the system says when the file can neither be read nor made; [`io::ErrorKind::InvalidData`] where others may read
/// it.
pub fn read_or_write(path: &Path, make: impl FnOnce() -> String) -> io::Result<Zeroizing<String>> {
    match read_text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(path, &make().into()),
        result => result,
    }
}

/// Reads the text in `path`, without white space at its ends.
///
/// # Errors
/// As for [`read_or_write`].
pub fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(invalid(format!(
            "others may read it (mode {:03o}): chmod 600 it, and replace the key if they may have",
            mode & 0o777
        )));
    }
    Ok(trimmed(fs::read_to_string(path)?))
}

fn trimmed(text: String) -> Zeroizing<String> {
    let text = Zeroizing::new(text);
    Zeroizing::new(text.trim().to_owned())
}

fn decode(text: &Zeroizing<String>) -> io::Result<Key> {
    let key = crate::canonical::unhex(text);
    let no_key = || invalid("it holds no key of 64 hexadecimal digits".to_owned());
    key.map(Zeroizing::new).ok_or_else(no_key)
}

/// Written aside and linked into place, so that nobody ever reads half a key. The name aside is new each time: what a crash has
/// left there is in nobody's way, although process ids come again.
fn write(path: &Path, text: &Zeroizing<String>) -> io::Result<Zeroizing<String>> {
    let aside = path.with_extension(format!("new-{:016x}", rand::random::<u64>()));
    let linked = write_new(&aside, text).and_then(|()| fs::hard_link(&aside, path));
    let removed = fs::remove_file(&aside);
    match linked {
        Ok(()) => {
            removed?;
            // What the key seals must not outlive it when the power fails.
            File::open(directory_of(path))?.sync_all()?;
            Ok(text.clone())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_text(path),
        Err(error) => Err(error),
    }
}

/// The directory that a file is in.
pub fn directory_of(path: &Path) -> &Path {
    let parent = path.parent();
    parent
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn write_new(path: &Path, text: &Zeroizing<String>) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.key");
        let left = path.with_extension(format!("new-{}", std::process::id()));
        fs::write(&left, "of one that died").unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let key = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), key);
        assert_eq!(read(&path).unwrap(), key);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_a_killed_process_has_left_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.key");
        let left = path.with_extension(format!("new-{}", std::process::id()));
        fs::write(left, "0f").unwrap();
        read_or_make(&path).unwrap();
        read(&path).unwrap();
    }

    #[test]
    fn a_file_that_holds_no_key_or_is_open_to_others_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.key");
        let said = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read_or_make(&path).map_err(|error| error.to_string())
        };
        let good = "0f".repeat(32);
        assert_eq!(*said(&format!("{good}\n"), 0o600).unwrap(), [15; 32]);
        for bad in ["", "0f", &"0g".repeat(32), &"é".repeat(32)] {
            assert!(said(bad, 0o600).unwrap_err().contains("no key"), "{bad}");
        }
        assert!(
            said(&good, 0o640)
                .unwrap_err()
                .contains("others may read it (mode 640)")
        );
    }
}
