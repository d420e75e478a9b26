//! One text for one JSON value, so that it can be hashed: keys sorted by their bytes, no white space.
//!
//! The map type of `serde_json` keeps insertion order in this workspace; nothing here depends on that.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The canonical text of `value`. Numbers and strings are written as `serde_json` writes them.
pub fn to_string(value: &Value) -> String {
    let mut text = String::with_capacity(128);
    write(value, &mut text);
    text
}

/// SHA-256 of the canonical text.
pub fn digest(value: &Value) -> [u8; 32] {
    Sha256::digest(to_string(value)).into()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
            text.push('{');
            for (n, (key, value)) in entries.into_iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                write_string(key, text);
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            write_scalar(scalar, text);
        }
    }
}

/// A JSON string, quoted and escaped.
pub(crate) fn write_string(value: &str, text: &mut String) {
    // Writing a string as JSON cannot fail.
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
}

fn write_scalar(value: &Value, text: &mut String) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _infallible = write!(text, "{value}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value = json!({"b": [{"z": 1, "a": "é\n"}], "a": null, "aa": 1.5});
        assert_eq!(
            to_string(&value),
            r#"{"a":null,"aa":1.5,"b":[{"a":"é\n","z":1}]}"#
        );
    }

    #[test]
    fn hex_is_lower_case() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }

    proptest! {
        #[test]
        fn the_order_of_insertion_does_not_matter(mut entries in prop::collection::vec(("[a-z]{1,3}", 0..9_i32), 0..8)) {
            entries.sort();
            entries.dedup_by(|a, b| a.0 == b.0);
            let forward: Value = entries.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into();
            let backward: Value = entries.iter().rev().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into();
            prop_assert_eq!(digest(&forward), digest(&backward));
            prop_assert_eq!(serde_json::from_str::<Value>(&to_string(&forward)).unwrap(), forward);
        }
    }
}
