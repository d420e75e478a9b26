//! What a record says of a call's arguments: a copy that shows nothing secret, and a digest by which two calls with the
//! same arguments are known as such, and from which no short value can be guessed.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::canonical::{self, Sorted};
use crate::key_file::{self, Key};
use crate::secret;

/// A larger copy of arguments, in bytes of its canonical JSON, is left out.
pub const MAX_COPY_BYTES: usize = 4 * 1024;

/// The file of the key in the data directory.
const FILE: &str = "audit-digest.key";

/// The key under which arguments are digested. Whoever has it can tell whether a call had certain arguments, by trying.
#[derive(Clone)]
pub struct DigestKey(Hmac<Sha256>);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}

impl DigestKey {
    /// That key.
    pub fn new(key: &Key) -> Self {
        // A shorter key than a block is filled up with zeros.
        let mut block = Zeroizing::new([0; 64]);
        block[..key.len()].copy_from_slice(key.as_slice());
        Self(Hmac::new((&*block).into()))
    }

    /// Reads the key in the data directory, or makes it.
    ///
    /// # Errors
    /// As for [`key_file::read_or_make`].
    pub fn read_or_make(data_dir: &Path) -> io::Result<Self> {
        key_file::read_or_make(&data_dir.join(FILE)).map(|key| Self::new(&key))
    }

    /// HMAC-SHA256 of the [canonical text](canonical::call) of a call.
    pub fn digest(&self, call: &str) -> [u8; 32] {
        let mac = self.0.clone().chain_update(call);
        mac.finalize().into_bytes().into()
    }
}

/// A copy of `arguments` for all who may read the records. Those named in `secret` are [masked](secret::MASK); of a copy that has more than [`MAX_COPY_BYTES`] nothing is left but its size, as `omitted_bytes`.
#[derive(Debug, PartialEq)]
pub struct Copied<'a>(Cow<'a, Map<String, Value>>);

impl<'a> Copied<'a> {
    /// Makes the copy.
    pub fn of(arguments: &'a Map<String, Value>, secret: &[String]) -> Self {
        let mut copy = secret::shown(arguments, secret);
        let bytes = canonical::object(&copy).len();
        if bytes > MAX_COPY_BYTES {
            copy = Cow::Owned(Map::from_iter([("omitted_bytes".to_owned(), json!(bytes))]));
        }
        Self(copy)
    }
}

impl Serialize for Copied<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Sorted(&self.0).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn secrets_are_not_shown_and_large_copies_are_left_out() {
        let secret = ["token".to_owned(), "absent".to_owned()];
        let copied = |arguments: Value| {
            serde_json::to_string(&Copied::of(&object(arguments), &secret)).unwrap()
        };
        assert_eq!(
            copied(json!({"token": {"deep": "hunter2"}, "a": [{"z": 1, "b": 2}]})),
            r#"{"a":[{"b":2,"z":1}],"token":"[redacted]"}"#
        );
        let fits = "x".repeat(MAX_COPY_BYTES - r#"{"a":""}"#.len());
        assert_eq!(copied(json!({ "a": fits })).len(), MAX_COPY_BYTES);
        assert_eq!(
            copied(json!({"a": format!("{fits}x")})),
            r#"{"omitted_bytes":4097}"#
        );
        assert_eq!(
            copied(json!({"token": "x".repeat(5_000)})),
            r#"{"token":"[redacted]"}"#
        );
    }

    #[test]
    fn a_digest_is_told_only_by_who_has_the_key() {
        let [one, other] = [1, 2].map(|byte| DigestKey::new(&Key::new([byte; 32])));
        let call = canonical::call("a__b", &object(json!({"pin": 1234})));
        assert_eq!(one.digest(&call), one.digest(&call));
        assert_ne!(one.digest(&call), other.digest(&call));
        assert_eq!(format!("{one:?}"), "DigestKey");
    }

    #[test]
    fn the_digest_is_hmac_sha256() {
        // RFC 4231, case 2, has a key of four bytes, which zeros fill up.
        let mut key = Key::default();
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            canonical::hex(&DigestKey::new(&key).digest("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
