//! What a step's job has printed, as a value to which others may refer.

use serde_json::Value;

use crate::plugin::Output;

/// A longer output is no result: a reference to it fails.
pub const MAX_RESULT_BYTES: usize = 1024 * 1024;

/// The value of what a tool has printed: its structured content where it prints MCP results, else its JSON, else its
/// text without the space around it.
pub fn result(output: Output, printed: &[u8]) -> Value {
    let text = String::from_utf8_lossy(printed);
    let text = text.trim();
    let mut document = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    if output != Output::Mcp || !document.is_object() {
        return document;
    }
    let structured = document["structuredContent"].take();
    if structured.is_null() {
        texts(&document)
    } else {
        structured
    }
}

/// The text blocks of an MCP result.
fn texts(document: &Value) -> Value {
    let blocks = document["content"].as_array().into_iter().flatten();
    let texts: Vec<_> = blocks.filter_map(|block| block["text"].as_str()).collect();
    Value::from(texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_printed_becomes_a_value() {
        let mcp = r#"{"content": [{"type": "text", "text": "hi"}], "structuredContent": {"a": 1}}"#;
        let rows = [
            (
                Output::Text,
                " {\"version\": \"1.2\"}\n",
                json!({"version": "1.2"}),
            ),
            (Output::Text, "done\n", json!("done")),
            (Output::Text, "", json!("")),
            (Output::Json, "[1]", json!([1])),
            (Output::Mcp, mcp, json!({"a": 1})),
            (
                Output::Mcp,
                r#"{"content": [{"type": "text", "text": "hi"}]}"#,
                json!("hi"),
            ),
        ];
        for (output, printed, expected) in rows {
            assert_eq!(result(output, printed.as_bytes()), expected, "{printed}");
        }
    }
}
