//! The key that signs checkpoints, and the public one that anybody may verify them with.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::canonical::{hex, unhex};
use crate::key_file;

/// The file of the key in the data directory.
const FILE: &str = "audit-signing.key";
/// The file of the public key beside it.
pub const PUBLIC_KEY_FILE: &str = "audit-signing.pub";

/// An Ed25519 signature.
pub type Signature = [u8; 64];

/// The key that signs checkpoints.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// The key that is made of these 256 random bits.
    pub fn new(seed: &key_file::Key) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::new(key.verifying_key());
        Self { key, public }
    }

    /// Reads the key in the data directory, or makes it; the public key is written beside it.
    ///
    /// # Errors
    /// As for [`key_file::read_or_make`]; [`io::ErrorKind::InvalidData`] where the public key that is there belongs to
    /// another key, since whoever verifies with it would take what is signed from now on for forged.
    pub fn read_or_make(data_dir: &Path) -> io::Result<Self> {
        let signer = Self::new(&key_file::read_or_make(&data_dir.join(FILE))?);
        let path = data_dir.join(PUBLIC_KEY_FILE);
        match fs::read_to_string(&path) {
            Ok(text) if PublicKey::parse(&text).as_ref() == Some(&signer.public) => {}
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "{PUBLIC_KEY_FILE} beside it is not its public key; put the right key back, or, where a new one is \
                         meant, move {PUBLIC_KEY_FILE} away and keep it: older checkpoints are verified with it"
                    ),
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Written aside, so that nobody reads half of it. Others who do so at once write the same.
                let aside = path.with_extension(format!("pub-{}", std::process::id()));
                fs::write(&aside, format!("{}\n", signer.public))?;
                fs::rename(&aside, &path)?;
            }
            Err(error) => return Err(error),
        }
        Ok(signer)
    }

    /// The key that verifies what this one signs.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, text: &str) -> Signature {
        self.key.sign(text.as_bytes()).to_bytes()
    }
}

/// A key that verifies checkpoints. Shown and read as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: String,
}

impl PublicKey {
    fn new(key: VerifyingKey) -> Self {
        let id = hex(&Sha256::digest(key.as_bytes())[..8]);
        Self { key, id }
    }

    /// Reads a key; `None` where the text is none. White space around it does not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let key = VerifyingKey::from_bytes(&unhex(text.trim())?).ok()?;
        // Of a weak key anybody can make signatures.
        (!key.is_weak()).then(|| Self::new(key))
    }

    /// A short name of it: the beginning of its SHA-256.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn verifies(&self, text: &str, signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(text.as_bytes(), &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.key.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_with_its_public_key_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let signer = Signer::read_or_make(directory.path()).unwrap();
        let again = Signer::read_or_make(directory.path()).unwrap();
        assert_eq!(again.public(), signer.public());
        let text = fs::read_to_string(directory.path().join(PUBLIC_KEY_FILE)).unwrap();
        assert_eq!(PublicKey::parse(&text).as_ref(), Some(signer.public()));
        assert!(signer.public().verifies("text", &again.sign("text")));
        assert!(!signer.public().verifies("test", &again.sign("text")));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_key_that_does_not_fit_its_public_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        Signer::read_or_make(directory.path()).unwrap();
        fs::remove_file(directory.path().join(FILE)).unwrap();
        let refused = Signer::read_or_make(directory.path()).unwrap_err();
        assert!(
            refused.to_string().contains("not its public key"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_no_key_is_told() {
        for bad in ["", "00", &"0".repeat(64), &"g".repeat(64), &"0".repeat(66)] {
            assert_eq!(PublicKey::parse(bad), None, "{bad}");
        }
    }
}
