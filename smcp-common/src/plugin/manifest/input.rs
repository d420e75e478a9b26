//! A command's `input_schema`: what it takes in JSON Schema, for what `parameters` cannot say.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::plugin::arguments::shaped;
use crate::plugin::parameter::canonical;
use crate::plugin::{FlagStyle, Kind, Parameter};

/// The schema as declared, and the parameters that its properties are.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<(Value, Vec<Parameter>)> {
    let schema = fields.object("input_schema")?;
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        fields.wrong("input_schema", "must have the type \"object\" at its root");
    }
    if fields.get("parameters").is_some() {
        let why = "excludes parameters: its properties are the parameters";
        fields.wrong("input_schema", why);
    }
    let properties = match schema.get("properties") {
        Some(Value::Object(properties)) => properties.clone(),
        Some(_) => {
            fields.wrong("input_schema.properties", "must be an object");
            Map::new()
        }
        None => Map::new(),
    };
    let required: HashSet<_> = match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => HashSet::new(),
    };
    let mut known = HashSet::new();
    let mut parameters = Vec::new();
    for (name, property) in &properties {
        if !known.insert(canonical(name)) {
            let why = format!("has two properties that are the flag '{name}'");
            fields.wrong("input_schema", why);
        }
        parameters.push(parameter(name, property, required.contains(name.as_str())));
    }
    Some((Value::Object(schema.clone()), parameters))
}

/// What passing the property on needs to know; the rest is for the schema to say.
fn parameter(name: &str, property: &Value, required: bool) -> Parameter {
    let text = |key: &str| property.get(key).and_then(Value::as_str);
    let named = |kind: &Kind| text("type") == Some(kind.as_str());
    let kind = Kind::ALL.into_iter().find(named).unwrap_or_default();
    let default = property.get("default").filter(|value| !value.is_null());
    Parameter {
        name: name.to_owned(),
        kind,
        description: text("description").unwrap_or_default().to_owned(),
        required,
        default: default.cloned().map(|value| shaped(kind, value)),
        items: None,
        enum_values: None,
        minimum: None,
        maximum: None,
        pattern: None,
        format: None,
        // JSON Schema's own word for what is taken and never told.
        secret: property.get("writeOnly") == Some(&Value::Bool(true)),
        flag: FlagStyle::Value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plugin::manifest::tests::{command_problem, tool_of};
    use crate::plugin::normalise;

    #[test]
    fn the_schema_is_offered_as_it_is_and_its_properties_are_the_parameters() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"place": {"type": "object"}},
            "properties": {
                "to-place": {"$ref": "#/$defs/place"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "times": {"type": "integer", "default": 2.0},
            },
            "required": ["to-place"],
            "anyOf": [{"required": ["tags"]}, {"required": ["times"]}],
            "additionalProperties": false,
        });
        let tool = tool_of(&json!({"name": "c", "lane": "{times}", "input_schema": schema}));
        assert_eq!(tool.input_schema().to_string(), schema.to_string());
        assert!(tool.parameter("to_place").unwrap().required);
        let sent = json!({"tags": "a", "to_place": {"x": 1}});
        let runs = normalise(&tool, sent.as_object().unwrap().clone());
        assert_eq!(
            json!(runs),
            json!({"to-place": {"x": 1}, "tags": ["a"], "times": 2})
        );
    }

    #[test]
    fn what_is_wrong_with_it_is_named() {
        let command = json!({"name": "c", "parameters": [], "input_schema": {"type": "array"}});
        insta::assert_snapshot!(command_problem(&command), @r#"
        commands[0].input_schema must have the type "object" at its root
        commands[0].input_schema excludes parameters: its properties are the parameters
        "#);
        let twice = json!({"a-b": {}, "a_b": {}});
        let command = json!({"name": "c", "input_schema": {"type": "object", "properties": twice}});
        insta::assert_snapshot!(command_problem(&command), @"commands[0].input_schema has two properties that are the flag 'a_b'");
        let command = json!({"name": "c", "input_schema": {"type": "object", "properties": []}});
        insta::assert_snapshot!(command_problem(&command), @"commands[0].input_schema.properties must be an object");
    }
}
