//! JSON values as Python writes them, which is what plugins were written against.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// A value as `str()` prints it: `True`, `None`, `1.0`, `1e+21`. Lists and objects are printed as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => self::number(number),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => json(value),
    }
}

/// A value as `json.dumps(value, separators=(",", ":"))` prints it: no spaces, and nothing but ASCII.
pub(super) fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value);
    out
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&self::number(number)),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_json(out, member);
            }
            out.push('}');
        }
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            other => {
                // A character beyond the first 65,536 is two escapes, as in UTF-16.
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    write!(out, "\\u{unit:04x}").unwrap_or_default();
                }
            }
        }
    }
    out.push('"');
}

/// A whole number as it was written; another one as Python's `repr` of a float, with an exponent of two digits or more
/// below 1e-4 and from 1e16.
fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => self::float(float),
        _ => number.to_string(),
    }
}

fn float(number: f64) -> String {
    // Both languages print the fewest digits that read back as the same number.
    let scientific = format!("{number:e}");
    let exponent = scientific
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse::<i32>().ok())
        .unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{number:?}");
    }
    let mantissa = scientific
        .split_once('e')
        .map_or(scientific.as_str(), |(mantissa, _)| mantissa);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_printed_as_python_prints_them() {
        // Left: the JSON text. Right: what CPython 3.11 prints for str(json.loads(text)).
        let rows = [
            ("1", "1"),
            ("-7", "-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1.0", "1.0"),
            ("-0.0", "-0.0"),
            ("0.1", "0.1"),
            ("1.50", "1.5"),
            ("1e2", "100.0"),
            ("123456789.125", "123456789.125"),
            ("1e15", "1000000000000000.0"),
            ("1234567890123456.0", "1234567890123456.0"),
            ("1e16", "1e+16"),
            ("12345678901234567.0", "1.2345678901234568e+16"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("0.0001", "0.0001"),
            ("0.00012", "0.00012"),
            ("0.00001", "1e-05"),
            ("-1.25e-7", "-1.25e-07"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ];
        for (written, expected) in rows {
            let value: Value = serde_json::from_str(written).unwrap();
            assert_eq!(text(&value), expected, "str of {written}");
            assert_eq!(json(&value), expected, "json of {written}");
        }
    }

    #[test]
    fn json_is_compact_and_ascii() {
        let rows = [
            (
                json!({"k": "é", "a": [1, 2.0, null, true]}),
                r#"{"k":"\u00e9","a":[1,2.0,null,true]}"#,
            ),
            (json!("😀"), r#""\ud83d\ude00""#),
            (
                json!("\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}/"),
                r#""\"\\\n\r\t\b\f\u0001\u007f/""#,
            ),
            (json!({"ключ": {}}), r#"{"\u043a\u043b\u044e\u0447":{}}"#),
            (json!([]), "[]"),
        ];
        for (value, expected) in rows {
            assert_eq!(json(&value), expected);
            assert_eq!(serde_json::from_str::<Value>(&json(&value)).unwrap(), value);
        }
    }

    #[test]
    fn scalars_are_printed_as_str_prints_them() {
        let rows = [
            (json!(null), "None"),
            (json!(true), "True"),
            (json!(false), "False"),
            (json!("é"), "é"),
        ];
        for (value, expected) in rows {
            assert_eq!(text(&value), expected);
        }
    }
}
