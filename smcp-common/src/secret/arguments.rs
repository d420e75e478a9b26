//! Arguments of parameters that a tool declares secret: told to its plugin, and to nobody else.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::plugin::Tool;

/// What stands for a secret argument wherever arguments are shown.
pub const MASK: &str = "[redacted]";

/// The arguments of a call as they may be shown: `tool`'s secret ones masked. They are as
/// [`normalise`](crate::plugin::normalise) leaves them.
pub fn masked(tool: &Tool, arguments: &Map<String, Value>) -> Map<String, Value> {
    divide(arguments, &tool.secret_parameters()).shown
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

/// Arguments, divided by who may see them.
#[derive(Debug)]
pub(crate) struct Divided {
    /// All of them in their order, the secret ones masked.
    pub(crate) shown: Map<String, Value>,
    /// The secret ones as JSON; `None` where there are none.
    pub(crate) hidden: Option<Zeroizing<String>>,
}

/// Divides arguments, of which those named in `secret` are secret.
pub(crate) fn divide(arguments: &Map<String, Value>, secret: &[String]) -> Divided {
    let mut shown = arguments.clone();
    let mut hidden = Map::new();
    for name in secret {
        if let Some(value) = shown.get_mut(name) {
            let value = std::mem::replace(value, MASK.into());
            hidden.insert(name.clone(), value);
        }
    }
    let hidden = (!hidden.is_empty()).then(|| Zeroizing::new(Value::Object(hidden).to_string()));
    Divided { shown, hidden }
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
        let Divided { shown, hidden } = divide(arguments, &secret);
        assert_eq!(
            Value::Object(shown).to_string(),
            r#"{"user":"ada","token":"[redacted]","days":2}"#
        );
        assert_eq!(*hidden.unwrap(), r#"{"token":["a",1]}"#);
        assert!(divide(arguments, &[]).hidden.is_none());
    }

    #[test]
    fn every_text_within_a_value_counts() {
        let value = json!({"a": ["x", {"b": "y"}], "n": 12345, "t": true, "z": null});
        assert_eq!(secret_texts(&value), ["x", "y", "12345"]);
    }
}
