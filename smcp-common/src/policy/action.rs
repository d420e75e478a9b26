//! A tool as rules see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::Effect;
use crate::plugin::Tool;

/// The action group of the tools of plugins.
pub const CALL: &str = "call";
/// The action group of the built-in tools that change or show what is everybody's.
pub const ADMINISTER: &str = "administer";
/// The action group of the built-in tools that reach only what is the caller's own.
pub const FOLLOW: &str = "follow";
/// The action group of the tools of plugins that may destroy something.
pub const DESTRUCTIVE: &str = "destructive";
/// The action group of the tools of plugins that change nothing.
pub const READ_ONLY: &str = "read_only";
/// Every group that there is even where no tool is in it, so that a rule may name it.
pub(super) const GROUPS: [&str; 5] = [CALL, ADMINISTER, FOLLOW, DESTRUCTIVE, READ_ONLY];

/// The resource of the built-in tools; no plugin can have that name.
pub const BUILTIN_PLUGIN: &str = "builtin:smcp";

/// What the group of a plugin's tools begins with; the plugin's name follows.
pub(super) const PLUGIN_PREFIX: &str = "plugin__";

/// A tool as rules see it: `Smcp::Action::"NAME"`, on the resource `Smcp::Plugin::"PLUGIN"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// The tool's name.
    pub name: String,
    /// The plugin that has it, or [`BUILTIN_PLUGIN`].
    pub plugin: String,
    /// The action groups that it is in.
    pub groups: Vec<String>,
    /// The JSON Schema of its arguments as they run, which rules read under `context.input`: what has a default is required.
    pub input_schema: Value,
}

impl Action {
    /// A tool of a plugin.
    pub fn of_plugin(tool: &Tool) -> Self {
        let mut groups = vec![CALL.to_owned(), format!("{PLUGIN_PREFIX}{}", tool.plugin)];
        if tool.annotations.destructive_hint == Some(true) {
            groups.push(DESTRUCTIVE.to_owned());
        }
        if tool.effect == Effect::ReadOnly {
            groups.push(READ_ONLY.to_owned());
        }
        Self {
            name: tool.name.to_string(),
            plugin: tool.plugin.clone(),
            groups,
            input_schema: requiring(tool.input_schema(), tool.defaulted_parameters()),
        }
    }

    /// A built-in tool of the group [`FOLLOW`] or [`ADMINISTER`].
    pub fn builtin(name: &str, group: &str, input_schema: Value) -> Self {
        Self {
            name: name.to_owned(),
            plugin: BUILTIN_PLUGIN.to_owned(),
            groups: vec![group.to_owned()],
            input_schema: with_defaults_required(input_schema),
        }
    }

    /// Whether its name would be taken for that of a group.
    pub(super) fn is_named_like_a_group(&self) -> bool {
        GROUPS.contains(&self.name.as_str()) || self.name.starts_with(PLUGIN_PREFIX)
    }
}

/// A built-in tool gets every default that its schema has.
fn with_defaults_required(schema: Value) -> Value {
    let properties = schema["properties"].as_object().cloned();
    let properties = properties.unwrap_or_default();
    let defaulted = properties
        .iter()
        .filter(|(_, property)| !property["default"].is_null());
    requiring(schema, defaulted.map(|(name, _)| name.as_str()))
}

/// The schema, with these properties required, too.
fn requiring<'n>(mut schema: Value, names: impl Iterator<Item = &'n str>) -> Value {
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    for name in names {
        if !required.iter().any(|known| known == name) {
            required.push(name.into());
        }
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("required".to_owned(), required.into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::plugin::{Manifest, normalise};

    #[test]
    fn what_every_call_has_is_required() {
        let command = json!({"name": "run", "parameters": [
            {"name": "given", "required": true}, {"name": "both", "required": true, "default": "x"}, {"name": "neither"},
            {"name": "with", "default": "x"}, {"name": "null", "default": null},
            // A flag cannot be written as false, and is absent unless it is given.
            {"name": "on", "type": "boolean", "action": "store_true", "default": true},
            {"name": "off", "type": "boolean", "action": "store_true", "default": false},
        ]});
        let manifest = Manifest::parse(&json!({"commands": [command]})).unwrap();
        let (tools, problems) = manifest.into_tools("toy");
        assert_eq!(problems, []);
        let schema = Action::of_plugin(&tools[0]).input_schema;
        assert_eq!(schema["required"], json!(["given", "both", "with", "off"]));
        let runs = normalise(
            &tools[0],
            Map::from_iter([("given".to_owned(), json!("x"))]),
        );
        for name in schema["required"].as_array().unwrap() {
            assert!(runs.contains_key(name.as_str().unwrap()), "{name}");
        }

        let schema = json!({"type": "object", "properties": {"a": {"default": 1}, "b": {}}});
        let schema = Action::builtin("a__b", FOLLOW, schema).input_schema;
        assert_eq!(schema["required"], json!(["a"]));
    }
}
