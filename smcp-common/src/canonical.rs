//! One text for one JSON value, so that it can be hashed: keys sorted by their bytes, no white space.
//!
//! The map type of `serde_json` keeps insertion order in this workspace; nothing here depends on that.

mod strict;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The canonical text of `value`. Numbers and strings are written as `serde_json` writes them.
pub fn to_string(value: &Value) -> String {
    let mut text = String::with_capacity(128);
    write(value, &mut text);
    text
}

/// The canonical text of an object.
pub fn object(object: &Map<String, Value>) -> String {
    let mut text = String::with_capacity(128);
    write_object(object, &mut text);
    text
}

/// The canonical text of `[name, object]`.
pub fn call(name: &str, object: &Map<String, Value>) -> String {
    let mut text = String::with_capacity(128);
    text.push('[');
    write_string(name, &mut text);
    text.push(',');
    write_object(object, &mut text);
    text.push(']');
    text
}

/// SHA-256 of the canonical text of `[name, object]`.
pub fn digest(name: &str, object: &Map<String, Value>) -> [u8; 32] {
    Sha256::digest(call(name, object)).into()
}

/// Whether `text` is one JSON value, written as [`to_string`] writes it.
pub fn is_canonical(text: &str) -> bool {
    strict::is_plain(text)
        || serde_json::from_str(text).is_ok_and(|value: Value| to_string(&value) == text)
}

/// Serialises an object as its canonical text, as a part of a larger one.
#[derive(Debug, Clone, Copy)]
pub struct Sorted<'v>(pub &'v Map<String, Value>);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
        serializer.collect_map(
            entries
                .into_iter()
                .map(|(key, value)| (key, SortedValue(value))),
        )
    }
}

struct SortedValue<'v>(&'v Value);

impl Serialize for SortedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => Sorted(map).serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(SortedValue)),
            scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                scalar.serialize(serializer)
            }
        }
    }
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

/// The bytes of `N` pairs of hexadecimal digits; `None` where the text is anything else, or has capital letters.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = 16 * digit(*high)? + digit(*low)?;
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
    fn a_digest_is_that_of_the_canonical_text() {
        let arguments: Map<_, _> = serde_json::from_str(r#"{"b": 1, "a": "\n"}"#).unwrap();
        let text = to_string(&json!(["a \"tool\"", arguments]));
        let expected: [u8; 32] = Sha256::digest(text).into();
        assert_eq!(digest("a \"tool\"", &arguments), expected);
    }

    #[test]
    fn hexadecimal_digits_are_read_as_they_are_written() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
        assert_eq!(unhex("000fff"), Some([0, 15, 255]));
        for bad in ["000ff", "000ffff0", "000FFF", "000ffg", "0é0ff", ""] {
            assert_eq!(unhex::<3>(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_not_canonical_is_told() {
        for good in [
            "null",
            "-5",
            "0",
            r#""""#,
            "[]",
            "{}",
            r#"{"a":[1,{"b":"x\n\"é"}],"a\nb":1.5,"b":true}"#,
        ] {
            assert!(is_canonical(good), "{good}");
        }
        for bad in [
            "",
            " 1",
            "01",
            "-0",
            "1.50",
            "1e3",
            "[1, 2]",
            "[1,]",
            "[1",
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1}x"#,
            r#"{"a" :1}"#,
            r#""\u0041""#,
            r#""\/""#,
            "\"\n\"",
            "\"open",
            "nul",
            "tru e",
        ] {
            assert!(!is_canonical(bad), "{bad}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        assert!(!is_canonical(&"[".repeat(1_000_000)));
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(!is_canonical(&deep), "as serde_json does");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c\"é\n]{0,3}", inner), 0..4)
                    .prop_map(|pairs| pairs.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_canonical_and_a_changed_byte_never_means_more(value in any_value(), at in any::<prop::sample::Index>(), byte in 0x20_u8..0x7f) {
            let text = to_string(&value);
            prop_assert!(is_canonical(&text), "{text}");
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                let slow = serde_json::from_str(&text).is_ok_and(|value: Value| to_string(&value) == text);
                prop_assert_eq!(is_canonical(&text), slow, "{}", text);
            }
        }

        #[test]
        fn an_object_is_serialised_as_it_is_written(value in any_value()) {
            let map = Map::from_iter([("v".to_owned(), value)]);
            prop_assert_eq!(serde_json::to_string(&Sorted(&map)).unwrap(), object(&map));
        }

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
