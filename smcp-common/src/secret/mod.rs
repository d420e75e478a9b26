//! What only plugins see: values that operators store encrypted, and arguments that a tool declares secret.
//!
//! [`KeyFile`] says where the key is under which both are sealed; the queue seals and opens them. What a plugin prints
//! passes a [`Redactor`] before anybody keeps it.

mod arguments;
mod error;
mod key;
mod name;
mod redact;
mod shapes;
mod vault;

use std::fmt;

use zeroize::Zeroizing;

pub(crate) use self::arguments::{hidden, shown};
pub(crate) use self::key::{KeyId, Keys};
pub(crate) use self::vault::{Purpose, Vault};

pub use self::arguments::{MASK, masked, secret_texts};
pub use self::error::SecretError;
pub use self::key::KeyFile;
pub use self::name::{InvalidSecret, MAX_VALUE_BYTES, MIN_VALUE_BYTES, check_name, check_value};
pub use self::redact::{RedactedStream, Redactor};

/// A text that is never printed, and is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain(Zeroizing<String>);

impl Plain {
    /// Takes a text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
