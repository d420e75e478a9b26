//! Arguments of parameters that a tool declares secret: told to its plugin, and to nobody else.

use std::borrow::Cow;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::plugin::Tool;

/// What stands for a secret argument wherever arguments are shown.
pub const MASK: &str = "[redacted]";

/// The arguments of a call as they may be shown: `tool`'s secret ones masked. They are as
/// [`normalise`](crate::plugin::normalise) leaves them.
pub fn masked(tool: &Tool, arguments: &Map<String, Value>) -> Map<String, Value> {
    shown(arguments, &tool.secret_parameters()).into_owned()
}

/// The texts within a secret argument that are struck out of what the plugin prints.
pub fn secret_texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(secret_texts).collect(),
        Value::Object(fields) => fields.values().flat_map(secret_texts).collect(),
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

/// Arguments in their order, those named in `secret` masked.
pub(crate) fn shown<'a>(
    arguments: &'a Map<String, Value>,
    secret: &[String],
) -> Cow<'a, Map<String, Value>> {
    let mut shown = Cow::Borrowed(arguments);
    for name in secret {
        if arguments.contains_key(name) {
            shown.to_mut().insert(name.clone(), MASK.into());
        }
    }
    shown
}

/// Those named in `secret`, as JSON; `None` where there are none.
pub(crate) fn hidden(
    arguments: &Map<String, Value>,
    secret: &[String],
) -> Option<Zeroizing<String>> {
    let hidden: Map<_, _> = secret
        .iter()
        .filter_map(|name| Some((name.clone(), arguments.get(name)?.clone())))
        .collect();
    (!hidden.is_empty()).then(|| Zeroizing::new(Value::Object(hidden).to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secret_arguments_are_masked_in_their_place() {
        let arguments = json!({"user": "ada", "token": ["a", 1], "days": 2});
        let arguments = arguments.as_object().unwrap();
        let secret = ["token".to_owned(), "absent".to_owned()];
        assert_eq!(
            Value::Object(shown(arguments, &secret).into_owned()).to_string(),
            r#"{"user":"ada","token":"[redacted]","days":2}"#
        );
        assert_eq!(*hidden(arguments, &secret).unwrap(), r#"{"token":["a",1]}"#);
        assert!(hidden(arguments, &secret[1..]).is_none());
    }

    #[test]
    fn every_text_within_a_value_counts() {
        let value = json!({"a": ["x", {"b": "y"}], "n": 12345, "t": true, "z": null});
        assert_eq!(secret_texts(&value), ["x", "y", "12345"]);
    }
}
