//! Sealing and opening: XChaCha20-Poly1305 under one key, each text bound to what it is for.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde_json::json;
use zeroize::Zeroizing;

use super::{KeyId, SecretError};
use crate::audit::DigestKey;
use crate::canonical;
use crate::key_file::Key;

const NONCE_BYTES: usize = 24;

/// What a sealed text is for. One that was sealed for something else does not open.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'p> {
    /// A stored secret. Each time that it is set it has another version.
    Secret {
        name: &'p str,
        /// The agent, or nothing for everybody.
        scope: &'p str,
        version: i64,
    },
    /// The secret arguments of a job.
    Arguments { job: &'p str },
    /// The key with which digests of secret arguments are made.
    DigestKey,
}

/// The key in force, and that of the digests, which outlives it.
pub(crate) struct Vault {
    id: KeyId,
    key: Key,
    digest_key: Key,
}

impl Vault {
    /// A new vault under `key`.
    pub(crate) fn new(key: Key) -> Self {
        let digest_key = Key::new(rand::random());
        Self::with(key, digest_key)
    }

    /// The vault under `key` whose digest key is `sealed`.
    ///
    /// # Errors
    /// [`SecretError::Damaged`]
    pub(crate) fn open_with(key: Key, sealed: &[u8]) -> Result<Self, SecretError> {
        let mut vault = Self::with(key, Key::default());
        let opened = vault.open(Purpose::DigestKey, sealed)?;
        let damaged = |_| Purpose::DigestKey.damaged();
        vault.digest_key = Zeroizing::new(opened.as_slice().try_into().map_err(damaged)?);
        Ok(vault)
    }

    /// The vault that follows this one: another key, the same digests.
    pub(crate) fn under(&self, key: Key) -> Self {
        Self::with(key, self.digest_key.clone())
    }

    /// The id of the key.
    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// The digest key, sealed under the key.
    pub(crate) fn sealed_digest_key(&self) -> Vec<u8> {
        self.seal(Purpose::DigestKey, &*self.digest_key)
    }

    /// Encrypts `text`: the id of the key, a random nonce, the ciphertext with its tag.
    pub(crate) fn seal(&self, purpose: Purpose<'_>, text: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let aad = purpose.text();
        let payload = Payload {
            msg: text,
            aad: aad.as_bytes(),
        };
        // It fails for texts of hundreds of gigabytes alone. Nothing opens an empty one.
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .unwrap_or_default();
        [self.id.as_bytes(), &nonce[..], &sealed].concat()
    }

    /// Decrypts what [`Vault::seal`] has made for the same purpose.
    ///
    /// # Errors
    /// [`SecretError::Damaged`], also where it was sealed under another key or for something else.
    pub(crate) fn open(
        &self,
        purpose: Purpose<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let opened = self.decrypted(purpose, sealed);
        opened.ok_or_else(|| purpose.damaged())
    }

    /// The same for a text.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub(crate) fn open_text(
        &self,
        purpose: Purpose<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<String>, SecretError> {
        let opened = self.open(purpose, sealed)?;
        let text = str::from_utf8(&opened).map_err(|_| purpose.damaged())?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// A digest of the [canonical text](canonical::call) of a call, which tells nothing of it to whoever has not the key.
    pub(crate) fn digest(&self, call: &str) -> [u8; 32] {
        DigestKey::new(&self.digest_key).digest(call)
    }

    fn with(key: Key, digest_key: Key) -> Self {
        Self {
            id: KeyId::of(&key),
            key,
            digest_key,
        }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.key).into())
    }

    fn decrypted(&self, purpose: Purpose<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = sealed.strip_prefix(self.id.as_bytes())?;
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let aad = purpose.text();
        let payload = Payload {
            msg: ciphertext,
            aad: aad.as_bytes(),
        };
        let opened = self.cipher().decrypt(&XNonce::from(*nonce), payload).ok()?;
        Some(Zeroizing::new(opened))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Purpose<'_> {
    /// What is authenticated with a text: no two purposes have the same.
    fn text(self) -> String {
        canonical::to_string(&match self {
            Self::Secret {
                name,
                scope,
                version,
            } => json!(["secret", name, scope, version]),
            Self::Arguments { job } => json!(["arguments", job]),
            Self::DigestKey => json!(["digest-key"]),
        })
    }

    fn damaged(self) -> SecretError {
        let what = match self {
            Self::Secret {
                name, scope: "", ..
            } => format!("the secret {name}"),
            Self::Secret { name, scope, .. } => format!("the secret {name} of {scope}"),
            Self::Arguments { job } => format!("what job {job} is to run with"),
            Self::DigestKey => "the key of the digests".to_owned(),
        };
        SecretError::Damaged { what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(Key::new([byte; 32]))
    }

    const SECRET: Purpose<'_> = Purpose::Secret {
        name: "TOKEN",
        scope: "ada",
        version: 2,
    };

    #[test]
    fn what_is_sealed_opens_for_the_same_purpose_alone() {
        let vault = vault(1);
        let sealed = vault.seal(SECRET, b"hunter2");
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(*vault.open_text(SECRET, &sealed).unwrap(), "hunter2");
        let secret = |name, scope, version| Purpose::Secret {
            name,
            scope,
            version,
        };
        let others = [
            secret("TOKEN", "ada", 3),
            secret("TOKEN", "", 2),
            secret("TOKE", "Nada", 2),
            Purpose::Arguments { job: "TOKEN" },
            Purpose::DigestKey,
        ];
        for other in others {
            assert!(vault.open(other, &sealed).is_err(), "{other:?}");
        }
        assert!(self::vault(2).open(SECRET, &sealed).is_err());
        assert_ne!(vault.seal(SECRET, b"hunter2"), sealed, "each has a nonce");
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let vault = vault(1);
        let sealed = vault.seal(SECRET, b"hunter2");
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert!(vault.open(SECRET, &changed).is_err(), "byte {i}");
            assert!(vault.open(SECRET, &sealed[..i]).is_err(), "{i} bytes");
        }
    }

    #[test]
    fn digests_outlive_the_key() {
        let first = vault(1);
        let digest = first.digest("call");
        let next = first.under(Key::new([2; 32]));
        let next = Vault::open_with(Key::new([2; 32]), &next.sealed_digest_key()).unwrap();
        assert_eq!(next.digest("call"), digest);
        assert_ne!(next.digest("another call"), digest);
        assert_ne!(vault(1).digest("call"), digest);
    }
}
