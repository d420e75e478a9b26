//! The JSON Schema under which a tool is offered to clients.

use serde_json::{Map, Value, json};

use super::{Kind, Parameter, Tool};

impl Tool {
    /// The JSON Schema of the tool's arguments: its own, or one made of its parameters. The same tool has the same schema, byte for byte: everything is in
    /// declared order.
    pub fn input_schema(&self) -> Value {
        if let Some(schema) = &self.own_schema {
            return schema.clone();
        }
        let properties: Map<_, _> = self
            .parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), property(parameter)))
            .collect();
        let required: Vec<_> = self
            .parameters
            .iter()
            .filter(|parameter| parameter.required)
            .map(|parameter| &parameter.name)
            .collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": self.open,
        })
    }
}

fn property(parameter: &Parameter) -> Value {
    let mut schema = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            schema.insert(key.to_owned(), value);
        }
    };
    set("type", Some(json!(parameter.kind.as_str())));
    set(
        "description",
        Some(&parameter.description)
            .filter(|text| !text.is_empty())
            .map(|text| json!(text)),
    );
    set("default", parameter.default.clone());
    if parameter.kind == Kind::Array {
        set(
            "items",
            Some(parameter.items.clone().unwrap_or_else(any_item)),
        );
    }
    set("enum", parameter.enum_values.clone().map(Value::Array));
    set("minimum", parameter.minimum.clone().map(Value::Number));
    set("maximum", parameter.maximum.clone().map(Value::Number));
    set(
        "pattern",
        parameter.pattern.as_ref().map(|text| json!(text)),
    );
    set("format", parameter.format.as_ref().map(|text| json!(text)));
    Value::Object(schema)
}

/// Whatever an element may be. Spelled out, because some clients refuse an array whose `items` is empty.
fn any_item() -> Value {
    json!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "object"}]})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plugin::manifest::tests::{tool, tool_of};

    #[test]
    fn a_tool_without_parameters_takes_nothing_unless_it_is_open() {
        let mut tool = tool(&json!([]));
        let mut expected = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
        assert_eq!(tool.input_schema(), expected);
        tool.open = true;
        expected["additionalProperties"] = json!(true);
        assert_eq!(tool.input_schema(), expected);
    }

    #[test]
    fn each_property_says_what_its_parameter_declares() {
        let any = json!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "object"}]});
        let rows = [
            (
                "P8 no type is a string",
                json!({}),
                json!({"type": "string"}),
            ),
            (
                "P8 description",
                json!({"description": "d"}),
                json!({"type": "string", "description": "d"}),
            ),
            (
                "P8 empty description",
                json!({"description": ""}),
                json!({"type": "string"}),
            ),
            (
                "P8 default",
                json!({"default": "x"}),
                json!({"type": "string", "default": "x"}),
            ),
            (
                "P8 null default",
                json!({"default": null}),
                json!({"type": "string"}),
            ),
            (
                "D7 array",
                json!({"type": "array"}),
                json!({"type": "array", "items": any}),
            ),
            (
                "D7 declared items",
                json!({"type": "array", "items": {"type": "object"}}),
                json!({"type": "array", "items": {"type": "object"}}),
            ),
            (
                "items of no array",
                json!({"items": {"type": "object"}}),
                json!({"type": "string"}),
            ),
            (
                "what is added",
                json!({"type": "string", "enum": ["a"], "pattern": "^a", "format": "date"}),
                json!({"type": "string", "enum": ["a"], "pattern": "^a", "format": "date"}),
            ),
            (
                "range, as written",
                json!({"type": "number", "minimum": 1, "maximum": 2.5}),
                json!({"type": "number", "minimum": 1, "maximum": 2.5}),
            ),
        ];
        for (row, declared, expected) in rows {
            let mut parameter = declared;
            parameter["name"] = json!("x");
            assert_eq!(
                tool(&json!([parameter])).input_schema()["properties"]["x"],
                expected,
                "{row}"
            );
        }
    }

    #[test]
    fn the_order_is_the_declared_one() {
        let tool = tool_of(&json!({"name": "c", "parameters": [
            {"name": "z", "required": true}, {"name": "a"}, {"name": "m", "required": true},
        ]}));
        insta::assert_snapshot!(
            tool.input_schema(),
            @r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"},"m":{"type":"string"}},"required":["z","m"],"additionalProperties":false}"#
        );
    }
}
