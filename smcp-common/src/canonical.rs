//! One text for one JSON value, so that it can be hashed: keys sorted by their bytes, no white space.
//!
//! The map type of `serde_json` keeps insertion order in this workspace; nothing here depends on that.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The canonical text of `value`. Numbers and strings are written as `serde_json` writes them.
pub fn to_string(value: &Value) -> String {
    let mut text = String::with_capacity(128);
    write(value, &mut text);
    text
}

/// SHA-256 of the canonical text of `[name, object]`.
pub fn digest(name: &str, object: &Map<String, Value>) -> [u8; 32] {
    let mut text = String::with_capacity(128);
    text.push('[');
    write_string(name, &mut text);
    text.push(',');
    write_object(object, &mut text);
    text.push(']');
    Sha256::digest(text).into()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(nibble)]));
        }
    }
    text
}

/// The 32 bytes of 64 hexadecimal digits, as [`hex`] writes them; `None` where it is something else.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(16 * high? + low?).ok()?;
    }
    Some(bytes)
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => write_object(map, text),
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
        Value::String(string) => write_string(string, text),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_)) => write_scalar(scalar, text),
    }
}

fn write_object(map: &Map<String, Value>, text: &mut String) {
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

/// Appends a string to a canonical text.
pub(crate) fn write_string(string: &str, text: &mut String) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if string.bytes().all(is_plain) {
        text.push('"');
        text.push_str(string);
        text.push('"');
    } else {
        write_scalar(&Value::from(string), text);
    }
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
        assert_eq!(unhex(&hex(&[171; 32])), Some([171; 32]));
        for wrong in [
            "",
            "ab",
            &"g0".repeat(32),
            &"0".repeat(63),
            &"00".repeat(33),
        ] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_digest_is_that_of_the_canonical_text() {
        let arguments: Map<_, _> = serde_json::from_str(r#"{"b": 1, "a": "\n"}"#).unwrap();
        let text = to_string(&json!(["a \"tool\"", arguments]));
        let expected: [u8; 32] = Sha256::digest(text).into();
        assert_eq!(digest("a \"tool\"", &arguments), expected);
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_writes_them(string in any::<String>()) {
            let value = Value::from(string);
            prop_assert_eq!(to_string(&value), value.to_string());
        }

        #[test]
        fn the_order_of_insertion_does_not_matter(mut entries in prop::collection::vec(("[a-z]{1,3}", 0..9_i32), 0..8)) {
            entries.sort();
            entries.dedup_by(|a, b| a.0 == b.0);
            let forward: Value = entries.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into();
            let backward: Value = entries.iter().rev().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into();
            prop_assert_eq!(to_string(&forward), to_string(&backward));
            prop_assert_eq!(serde_json::from_str::<Value>(&to_string(&forward)).unwrap(), forward);
        }
    }
}
