//! The key under which secrets are sealed: where its file is, and how it is replaced.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::{SecretError, Vault};
use crate::canonical;
use crate::key_file::{self, Key, directory_of};

/// Where the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
    /// Read in its place where it is there.
    credential: Option<PathBuf>,
}

impl KeyFile {
    /// The key in `path`, made there at the first need.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            credential: None,
        }
    }

    /// The same, unless systemd hands over a key in `credential`.
    #[must_use]
    pub fn or_credential(mut self, credential: impl Into<PathBuf>) -> Self {
        self.credential = Some(credential.into());
        self
    }

    /// The file that counts.
    pub fn path(&self) -> &Path {
        self.given().unwrap_or(&self.path)
    }

    /// The credential, where there is one.
    fn given(&self) -> Option<&Path> {
        self.credential.as_deref().filter(|path| path.is_file())
    }

    /// The file that a new key is in until all is sealed under it.
    fn beside(&self, id: KeyId) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{id}"));
        name.into()
    }

    fn unusable(path: &Path, error: &io::Error) -> SecretError {
        SecretError::KeyFile {
            path: path.to_owned(),
            problem: error.to_string(),
        }
    }
}

/// What tells a key from others, and nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl KeyId {
    pub(crate) fn of(key: &Key) -> Self {
        let digest = Sha256::new()
            .chain_update("smcp key of secrets\0")
            .chain_update(**key)
            .finalize();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    pub(crate) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&canonical::hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key file of a process, and the vault that it has been read for.
#[derive(Debug)]
pub(crate) struct Keys {
    file: KeyFile,
    /// With its digest key as it is stored.
    known: Mutex<Option<(Vec<u8>, Arc<Vault>)>>,
}

impl Keys {
    pub(crate) fn new(file: KeyFile) -> Self {
        Self {
            file,
            known: Mutex::default(),
        }
    }

    /// The vault under the key `id`, whose digest key is `sealed`.
    ///
    /// # Errors
    /// [`SecretError`]; a key is never made here.
    pub(crate) fn vault(&self, id: KeyId, sealed: &[u8]) -> Result<Arc<Vault>, SecretError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, vault)) = &*known
            && vault.id() == id
            && of == sealed
        {
            return Ok(Arc::clone(vault));
        }
        let vault = Arc::new(Vault::open_with(self.find(id)?, sealed)?);
        *known = Some((sealed.to_owned(), Arc::clone(&vault)));
        Ok(vault)
    }

    /// A new vault under the key of the file, which is made where it is not there.
    ///
    /// # Errors
    /// [`SecretError::KeyFile`]
    pub(crate) fn new_vault(&self) -> Result<Arc<Vault>, SecretError> {
        let key = match self.file.given() {
            Some(credential) => read(&self.file, credential)?,
            None => key_file::read_or_make(&self.file.path)
                .map_err(|error| KeyFile::unusable(&self.file.path, &error))?,
        };
        Ok(Arc::new(Vault::new(key)))
    }

    /// Begins to replace the key. One process at a time.
    ///
    /// # Errors
    /// [`SecretError::Rotating`], [`SecretError::Credential`], [`SecretError::KeyFile`]
    pub(crate) fn rotation(&self) -> Result<Rotation<'_>, SecretError> {
        if let Some(credential) = self.file.given() {
            return Err(SecretError::Credential(credential.to_owned()));
        }
        let path = &self.file.path;
        let unusable = |error: io::Error| KeyFile::unusable(path, &error);
        let directory = File::open(directory_of(path)).map_err(unusable)?;
        let mut lock = path.clone().into_os_string();
        lock.push(".lock");
        let mut options = File::options();
        let lock = options.create(true).truncate(false).write(true).open(lock);
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SecretError::Rotating),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        Ok(Rotation {
            keys: self,
            directory,
            _lock: lock,
        })
    }

    /// The key `id`: beside the file until its rotation is settled, and in the file from then on. In that order, as it may be
    /// moved in between.
    fn find(&self, id: KeyId) -> Result<Key, SecretError> {
        if let Ok(key) = key_file::read(&self.file.beside(id))
            && KeyId::of(&key) == id
        {
            return Ok(key);
        }
        let path = self.file.path();
        let own = read(&self.file, path);
        if let Ok(key) = &own
            && KeyId::of(key) == id
        {
            return own;
        }
        Err(match own {
            Ok(key) => SecretError::WrongKey {
                path: path.to_owned(),
                found: KeyId::of(&key),
                needed: id,
            },
            Err(SecretError::KeyFile { path, problem }) => SecretError::KeyFile {
                path,
                problem: format!(
                    "{problem}; the stored secrets are sealed under the key {id}: put its file back, or remove the \
                     secrets (smcp secrets remove) and set them anew"
                ),
            },
            Err(error) => error,
        })
    }
}

fn read(file: &KeyFile, path: &Path) -> Result<Key, SecretError> {
    let key = if file.given() == Some(path) {
        // systemd guards the directory; on the file itself an access list may look like a group's right.
        key_file::read_guarded(path)
    } else {
        key_file::read(path)
    };
    key.map_err(|error| KeyFile::unusable(path, &error))
}

/// A key that is being replaced. The new one is in a file beside the old one until everything is sealed under it, so that
/// a crash at any point leaves a file with the key in force; readers look for it in both.
#[derive(Debug)]
pub(crate) struct Rotation<'k> {
    keys: &'k Keys,
    directory: File,
    _lock: File,
}

impl Rotation<'_> {
    /// Makes a new key, durable beside the old one.
    ///
    /// # Errors
    /// [`SecretError::KeyFile`]
    pub(crate) fn prepare(&self) -> Result<Key, SecretError> {
        let key = Key::new(rand::random());
        let path = self.keys.file.beside(KeyId::of(&key));
        key_file::read_or_write(&path, || canonical::hex(&*key))
            .map_err(|error| KeyFile::unusable(&path, &error))?;
        Ok(key)
    }

    /// Puts the key in force into the place of the file, and removes what rotations have left that came to nothing.
    ///
    /// # Errors
    /// [`SecretError::KeyFile`]; the key in force is still found then.
    pub(crate) fn settle(&self, in_force: Option<KeyId>) -> Result<(), SecretError> {
        let file = &self.keys.file;
        let unusable = |error: io::Error| KeyFile::unusable(&file.path, &error);
        for (path, id) in self.leftovers().map_err(unusable)? {
            if Some(id) == in_force {
                fs::rename(path, &file.path).map_err(unusable)?;
            } else {
                fs::remove_file(path).map_err(unusable)?;
            }
        }
        self.directory.sync_all().map_err(unusable)
    }

    /// The files beside the key's, each with the id in its name.
    fn leftovers(&self) -> io::Result<Vec<(PathBuf, KeyId)>> {
        let path = &self.keys.file.path;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut found = Vec::new();
        for entry in fs::read_dir(directory_of(path))? {
            let entry = entry?;
            let other = entry.file_name();
            let id = other
                .to_str()
                .and_then(|other| other.strip_prefix(&*name)?.strip_prefix('.'))
                .and_then(canonical::unhex);
            found.extend(id.map(|id| (entry.path(), KeyId(id))));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn keys(directory: &Path) -> Keys {
        Keys::new(KeyFile::at(directory.join("secrets.key")))
    }

    fn files(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "secrets.key.lock")
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_wrong_or_missing_key_is_refused_with_both_ids_and_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let first = keys(directory.path()).new_vault().unwrap();
        let find = |vault: &Vault| {
            let sealed = vault.sealed_digest_key();
            let found = keys(directory.path()).vault(vault.id(), &sealed);
            found
                .map(|found| found.id())
                .map_err(|error| error.to_string())
        };
        assert_eq!(find(&first), Ok(first.id()));
        fs::remove_file(directory.path().join("secrets.key")).unwrap();
        let gone = find(&first).unwrap_err();
        assert!(gone.contains(&first.id().to_string()), "{gone}");
        assert!(
            files(directory.path()).is_empty(),
            "none is made in its place"
        );
        let second = keys(directory.path()).new_vault().unwrap();
        let wrong = find(&first).unwrap_err();
        for part in [
            &first.id().to_string(),
            &second.id().to_string(),
            "SMCP_SECRETS_KEY_FILE",
        ] {
            assert!(wrong.contains(part), "{wrong}");
        }
    }

    #[test]
    fn a_crash_at_any_point_of_a_rotation_leaves_the_key_in_force_readable() {
        let directory = tempfile::tempdir().unwrap();
        let own = keys(directory.path());
        let old = own.new_vault().unwrap();
        let readable = |vault: &Vault| {
            let sealed = vault.sealed_digest_key();
            keys(directory.path()).vault(vault.id(), &sealed).is_ok()
        };
        // Before the commit: the new key has come to nothing.
        let rotation = own.rotation().unwrap();
        let key = rotation.prepare().unwrap();
        drop(rotation);
        assert!(readable(&old));
        assert_eq!(files(directory.path()).len(), 2);
        // After it, before the file is replaced.
        let rotation = own.rotation().unwrap();
        rotation.settle(Some(old.id())).unwrap();
        assert_eq!(files(directory.path()), ["secrets.key"]);
        assert!(readable(&old) && !readable(&old.under(key)));
        let new = old.under(rotation.prepare().unwrap());
        drop(rotation);
        assert!(readable(&new));
        // The next rotation finishes what was begun.
        let rotation = own.rotation().unwrap();
        rotation.settle(Some(new.id())).unwrap();
        assert!(readable(&new) && !readable(&old));
        assert_eq!(files(directory.path()), ["secrets.key"]);
        let mode = fs::metadata(directory.path().join("secrets.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(
            keys(directory.path()).rotation(),
            Err(SecretError::Rotating)
        ));
    }

    #[test]
    fn a_credential_goes_before_the_file_and_is_never_written() {
        let directory = tempfile::tempdir().unwrap();
        let credential = directory.path().join("credential");
        let own = || {
            let file = KeyFile::at(directory.path().join("secrets.key"));
            Keys::new(file.or_credential(&credential))
        };
        let without = own().new_vault().unwrap();
        fs::write(&credential, "0f".repeat(32)).unwrap();
        fs::set_permissions(&credential, fs::Permissions::from_mode(0o440)).unwrap();
        let with = own().new_vault().unwrap();
        assert_ne!(with.id(), without.id());
        assert!(matches!(own().rotation(), Err(SecretError::Credential(_))));
    }
}
