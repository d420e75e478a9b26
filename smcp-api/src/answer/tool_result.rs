//! Reading the MCP tool result that a plugin with `output: mcp` prints: strictly, since a client would refuse what
//! is wrong in it, and without what is ours to say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde_json::{Map, Value, json};
use smcp_common::job::code;

const KEYS: [&str; 5] = [
    "content",
    "structuredContent",
    "isError",
    "_meta",
    "resultType",
];
const KINDS: [&str; 5] = ["text", "image", "audio", "resource", "resource_link"];

/// The result that `text` is; what it says in `_meta` under names of SMCP's or of the protocol's own is left out.
///
/// # Errors
/// What is wrong with it and where, such as `content[2].mimeType is missing`.
pub(super) fn read(text: &str) -> Result<CallToolResult, String> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let Value::Object(document) = document else {
        return Err("it is not an object".to_owned());
    };
    if let Some(key) = document.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!(
            "'{key}' is not a key of a tool result; they are content, structuredContent, isError and _meta"
        ));
    }
    let root = Object {
        fields: &document,
        path: String::new(),
    };
    if root
        .optional("resultType", "a string", Value::as_str)?
        .is_some_and(|kind| kind != "complete")
    {
        return Err("resultType is not \"complete\"".to_owned());
    }
    let structured = root.get("structuredContent").cloned();
    let mut content = match root.optional("content", "an array", Value::as_array)? {
        Some(blocks) => blocks
            .iter()
            .enumerate()
            .map(|(i, value)| block(value, &format!("content[{i}]")))
            .collect::<Result<_, _>>()?,
        None if structured.is_none() => return Err("content is missing".to_owned()),
        None => Vec::new(),
    };
    if let Some(structured) = &structured
        && content.is_empty()
    {
        content.push(ContentBlock::text(structured.to_string()));
    }
    let is_error = root
        .optional("isError", "a boolean", Value::as_bool)?
        .unwrap_or(false);
    let mut result = if is_error {
        CallToolResult::error(content)
    } else {
        CallToolResult::success(content)
    };
    result.structured_content = structured;
    if is_error {
        name_error(&mut result);
    }
    if let Some(given) = root.optional("_meta", "an object", Value::as_object)? {
        let mut meta = MetaObject(given.clone());
        meta.0.retain(|key, _| !is_reserved(key));
        result.meta = Some(meta);
    }
    Ok(result)
}

fn block(value: &Value, path: &str) -> Result<ContentBlock, String> {
    let Value::Object(fields) = value else {
        return Err(format!("{path} is not an object"));
    };
    let block = Object {
        fields,
        path: path.to_owned(),
    };
    match block.string("type")? {
        "text" => drop(block.string("text")?),
        "image" | "audio" => {
            block.base64("data")?;
            block.string("mimeType")?;
        }
        "resource" => contents(&block.object("resource")?)?,
        "resource_link" => {
            block.string("uri")?;
            block.string("name")?;
            block.texts(&["title", "description", "mimeType"])?;
            block.optional("size", "a number of bytes", Value::as_u64)?;
        }
        other => {
            return Err(format!(
                "{path}.type '{}' is not one of {}",
                other.chars().take(40).collect::<String>(),
                KINDS.join(", ")
            ));
        }
    }
    block.optional("_meta", "an object", Value::as_object)?;
    annotations(&block)?;
    // What has not been looked at yet, as icons are.
    serde_json::from_value(value.clone()).map_err(|error| format!("{path}: {error}"))
}

/// The `resource` of an embedded resource: text, or else binary data.
fn contents(resource: &Object<'_>) -> Result<(), String> {
    resource.string("uri")?;
    resource.texts(&["mimeType"])?;
    match (resource.get("text"), resource.get("blob")) {
        (Some(_), None) => resource.string("text").map(drop),
        (None, Some(_)) => resource.base64("blob"),
        (None, None) => Err(format!("{} has neither text nor blob", resource.path)),
        (Some(_), Some(_)) => Err(format!("{} has both text and blob", resource.path)),
    }
}

fn annotations(block: &Object<'_>) -> Result<(), String> {
    if block.get("annotations").is_none() {
        return Ok(());
    }
    let annotations = block.object("annotations")?;
    annotations.texts(&["lastModified"])?;
    annotations.optional("priority", "a number from 0 to 1", |value| {
        value.as_f64().filter(|share| (0.0..=1.0).contains(share))
    })?;
    let is_role = |role: &Value| role == "user" || role == "assistant";
    annotations.optional("audience", "an array of user and assistant", |value| {
        value.as_array().filter(|roles| roles.iter().all(is_role))
    })?;
    Ok(())
}

/// Sees to it that an error has `error {code, message}` in its structured content, as all of SMCP's errors have.
fn name_error(result: &mut CallToolResult) {
    let texts = result.content.iter().filter_map(ContentBlock::as_text);
    let text: Vec<_> = texts.map(|block| block.text.as_str()).collect();
    let mut message = text.join("\n");
    if message.trim().is_empty() {
        "The tool failed and did not say why.".clone_into(&mut message);
    }
    if result.content.is_empty() {
        result.content.push(ContentBlock::text(message.clone()));
    }
    let structured = result.structured_content.get_or_insert_with(|| json!({}));
    // The text says all of what is no object.
    if !structured.is_object() {
        *structured = json!({});
    }
    let named = ["code", "message"].iter().all(|key| {
        let word = structured.get("error").and_then(|error| error.get(key));
        word.is_some_and(Value::is_string)
    });
    if !named {
        if let Some(Value::String(said)) = structured.get("error") {
            message.clone_from(said);
        }
        structured["error"] = json!({"code": code::PLUGIN_ERROR, "message": message});
    }
}

/// Whether names with that prefix are SMCP's, or the protocol's as the specification has it.
fn is_reserved(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else {
        return false;
    };
    prefix == "smcp"
        || matches!(
            prefix.split('.').nth(1),
            Some("modelcontextprotocol" | "mcp")
        )
}

/// An object of the document, which knows where it stands. Null counts as absent.
#[derive(Debug)]
struct Object<'a> {
    fields: &'a Map<String, Value>,
    path: String,
}

impl<'a> Object<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn optional<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(format!("{} is not {expected}", self.at(key))),
        }
    }

    fn string(&self, key: &str) -> Result<&'a str, String> {
        self.optional(key, "a string", Value::as_str)?
            .ok_or_else(|| format!("{} is missing", self.at(key)))
    }

    fn texts(&self, keys: &[&str]) -> Result<(), String> {
        for key in keys {
            self.optional(key, "a string", Value::as_str)?;
        }
        Ok(())
    }

    fn object(&self, key: &str) -> Result<Self, String> {
        let fields = self
            .optional(key, "an object", Value::as_object)?
            .ok_or_else(|| format!("{} is missing", self.at(key)))?;
        Ok(Self {
            fields,
            path: self.at(key),
        })
    }

    fn base64(&self, key: &str) -> Result<(), String> {
        match STANDARD.decode(self.string(key)?) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{} is not base64: {error}", self.at(key))),
        }
    }
}

#[cfg(test)]
mod tests;
