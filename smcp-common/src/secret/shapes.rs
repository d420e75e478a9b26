//! The shapes in which a value turns up in what a program prints: as it is, and in the usual encodings.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::MIN_VALUE_BYTES;

/// All shapes of `value`; none where it is too short to be told from other text.
pub(super) fn shapes(value: &str) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    // Programs read a line of a file without its end.
    for value in [value, value.trim()] {
        if value.len() >= MIN_VALUE_BYTES {
            found.insert(value.as_bytes().to_vec());
            found.extend(base64(value.as_bytes()));
            found.extend(hex(value.as_bytes()));
            found.extend(percent(value.as_bytes()));
            found.extend(json(value));
        }
    }
    found
}

/// Base64 of the value alone, and of it within something longer: there it can begin at each of three places of a group of
/// four characters, and those that it shares with its neighbours tell little of it.
fn base64(value: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (padded, plain) in [(STANDARD, STANDARD_NO_PAD), (URL_SAFE, URL_SAFE_NO_PAD)] {
        found.push(padded.encode(value).into_bytes());
        found.push(plain.encode(value).into_bytes());
        for (before, shared) in [(0, 0), (1, 2), (2, 3)] {
            let text = plain.encode([&[0; 2][..before], value].concat());
            let end = text.len() - usize::from(!(before + value.len()).is_multiple_of(3));
            // Shared at its beginning only where it is at the very end.
            for end in [end, text.len()] {
                found.push(text.as_bytes()[shared..end].to_vec());
            }
        }
    }
    found
}

fn hex(value: &[u8]) -> [Vec<u8>; 2] {
    let lower = crate::canonical::hex(value);
    let upper = lower.to_uppercase();
    [lower.into_bytes(), upper.into_bytes()]
}

/// Percent-encodings differ in what they leave as it is, in the case of their digits, and in what a space becomes.
fn percent(value: &[u8]) -> Vec<Vec<u8>> {
    const KEPT: [&[u8]; 6] = [
        b"-_.~",                 // RFC 3986
        b"-_.~/",                // Python's quote
        b"-_.*",                 // HTML forms
        b"-_.!~*'()",            // JavaScript's encodeURIComponent
        b"-_.!~*'();/?:@&=+$,#", // JavaScript's encodeURI
        b"-_.~!$&'()*+,;=:@",    // a segment of a path
    ];
    let mut found = Vec::new();
    for upper in [true, false] {
        let encode = |keep: &dyn Fn(u8) -> bool, space: Option<u8>| {
            let mut text = Vec::with_capacity(3 * value.len());
            for &byte in value {
                match space {
                    Some(plus) if byte == b' ' => text.push(plus),
                    Some(_) | None if keep(byte) => text.push(byte),
                    Some(_) | None => {
                        let digits = crate::canonical::hex(&[byte]);
                        let digits = if upper { digits.to_uppercase() } else { digits };
                        text.push(b'%');
                        text.extend(digits.into_bytes());
                    }
                }
            }
            text
        };
        for kept in KEPT {
            let keep = |byte: u8| byte.is_ascii_alphanumeric() || kept.contains(&byte);
            found.push(encode(&keep, None));
            found.push(encode(&keep, Some(b'+')));
        }
        found.push(encode(&|_| false, None));
    }
    found
}

/// JSON strings differ in what they escape beyond what they must.
fn json(value: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for ascii in [false, true] {
        for upper in [false, true] {
            for slash in [false, true] {
                for html in [false, true] {
                    let style = Escaping {
                        ascii,
                        upper,
                        slash,
                        html,
                    };
                    found.push(style.escape(value).into_bytes());
                }
            }
        }
    }
    found
}

#[expect(clippy::struct_excessive_bools, reason = "each is one difference")]
#[derive(Clone, Copy)]
struct Escaping {
    /// Characters beyond ASCII.
    ascii: bool,
    /// With upper-case digits.
    upper: bool,
    /// `/`, as PHP does.
    slash: bool,
    /// `<`, `>` and `&`, as Go does.
    html: bool,
}

impl Escaping {
    fn escape(self, value: &str) -> String {
        let mut text = String::with_capacity(value.len());
        for character in value.chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                '/' if self.slash => text.push_str("\\/"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if self.html => {
                    self.escape_unit(character, &mut text);
                }
                '\u{7f}' if self.ascii => self.escape_unit(character, &mut text),
                other if other < ' ' || (self.ascii && !other.is_ascii()) => {
                    self.escape_unit(other, &mut text);
                }
                other => text.push(other),
            }
        }
        text
    }

    fn escape_unit(self, character: char, text: &mut String) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            text.push_str(&if self.upper {
                format!("\\u{unit:04X}")
            } else {
                format!("\\u{unit:04x}")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "pä s/<w>\"0\\rd?";

    fn has(shape: &str) -> bool {
        shapes(VALUE).contains(shape.as_bytes())
    }

    #[test]
    fn the_usual_encodings_are_known() {
        let bytes = VALUE.as_bytes();
        assert!(has(VALUE));
        assert!(has(&STANDARD.encode(bytes)));
        assert!(has(&URL_SAFE_NO_PAD.encode(bytes)));
        assert!(has(&crate::canonical::hex(bytes).to_uppercase()));
        assert!(has("p%C3%A4%20s%2F%3Cw%3E%220%5Crd%3F"), "RFC 3986");
        assert!(has("p%c3%a4+s%2f%3cw%3e%220%5crd%3f"), "a form");
        assert!(has("p%C3%A4%20s/%3Cw%3E%220%5Crd%3F"), "Python");
        assert!(has(
            &serde_json::to_string(VALUE).unwrap()[1..][..VALUE.len() + 2]
        ));
        assert!(has(r#"p\u00e4 s/<w>\"0\\rd?"#), "Python's JSON");
        assert!(has(r#"pä s\/<w>\"0\\rd?"#), "PHP, without Unicode escapes");
        assert!(has(r#"pä s/\u003cw\u003e\"0\\rd?"#), "Go");
    }

    #[test]
    fn within_something_longer_base64_is_found_at_every_place() {
        for value in ["hunter2", "hunter22", "hunter222"] {
            let shapes = shapes(value);
            for before in 0..7 {
                for after in 0..4 {
                    let text = ["x".repeat(before), value.to_owned(), "y".repeat(after)].concat();
                    let encoded = STANDARD.encode(&text).into_bytes();
                    let longest = shapes
                        .iter()
                        .filter(|shape| encoded.windows(shape.len()).any(|part| part == **shape))
                        .map(Vec::len)
                        .max();
                    // All characters but those that its neighbours decide, too.
                    assert!(longest >= Some(value.len() * 8 / 6 - 1), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_is_too_short_has_no_shape() {
        assert!(shapes("abc").is_empty());
        assert!(shapes(" abc\n").iter().all(|shape| shape != b"abc"));
        assert!(shapes("abcd\n").contains(&b"abcd"[..]));
    }
}
