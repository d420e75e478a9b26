//! What the structured output of a plugin's tool must look like, and how clients are told.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::tools::problems;

/// The schema that a tool declares for its structured output, ready to be used.
#[derive(Debug)]
pub struct OutputSchema {
    /// As `tools/list` shows it: it admits `{"error": {"code", "message"}}`, too, since there are clients that check
    /// the structured content of errors against it and would replace the error by a complaint of their own.
    pub listed: Map<String, Value>,
    validator: Validator,
}

impl OutputSchema {
    /// Makes the schema ready.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn new(declared: &Value) -> Result<Self, String> {
        let Value::Object(schema) = declared else {
            return Err("it is not an object".to_owned());
        };
        let validator = jsonschema::validator_for(declared).map_err(|error| error.to_string())?;
        Ok(Self {
            listed: admitting_errors(schema),
            validator,
        })
    }

    /// What is wrong with `value`, one finding a place; values are not repeated, as they may be secrets.
    pub fn problems(&self, value: &Value) -> Vec<String> {
        problems(&self.validator, value, "field")
    }
}

/// Keywords of the root that an error need not keep to. All others are about single properties, and stay.
const ABOUT_THE_WHOLE: [&str; 18] = [
    "required",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "minProperties",
    "maxProperties",
    "propertyNames",
    "enum",
    "const",
    "$ref",
    "$dynamicRef",
];

/// The schema without demands on an error. Its definitions stay where references look for them.
fn admitting_errors(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut listed = schema.clone();
    let mut success = Map::new();
    for keyword in ABOUT_THE_WHOLE {
        if let Some(demand) = listed.shift_remove(keyword) {
            success.insert(keyword.to_owned(), demand);
        }
    }
    let others = ["additionalProperties", "unevaluatedProperties"];
    let others = others.iter().find_map(|keyword| listed.get(*keyword));
    let error = error_beside(others);
    let properties = listed.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        match (properties.get("error"), error) {
            (Some(declared), _) => {
                let either = json!({"anyOf": [declared, error_schema()]});
                properties.insert("error".to_owned(), either);
            }
            (None, Some(error)) => {
                properties.insert("error".to_owned(), error);
            }
            (None, None) => {}
        }
    }
    if !success.is_empty() {
        listed.insert(
            "anyOf".to_owned(),
            json!([success, {"required": ["error"]}]),
        );
    }
    listed
}

/// What must be said of an undeclared `error` where `others` is what the schema says of undeclared properties.
fn error_beside(others: Option<&Value>) -> Option<Value> {
    match others {
        None | Some(Value::Bool(true)) => None,
        Some(Value::Bool(false)) => Some(error_schema()),
        Some(others) => Some(json!({"anyOf": [others, error_schema()]})),
    }
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "description": "Where the call failed: why.",
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        "required": ["code", "message"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_is_told_with_its_place_and_without_its_value() {
        let schema = OutputSchema::new(&json!({
            "type": "object",
            "properties": {"n": {"type": "integer"}, "items": {"type": "array", "items": {"type": "string"}}},
            "required": ["name"],
        }))
        .unwrap();
        let found = schema.problems(&json!({"n": "secret", "items": ["a", 2]}));
        assert_eq!(
            found,
            [
                r#""name" is a required property"#,
                r#"field 'n': value is not of type "integer""#,
                r#"field 'items.1': value is not of type "string""#,
            ]
        );
        assert_eq!(
            schema.problems(&json!([]))[0],
            r#"value is not of type "object""#
        );
        assert!(schema.problems(&json!({"name": 1})).is_empty());
    }

    #[test]
    fn a_schema_that_cannot_be_used_says_why() {
        let said =
            OutputSchema::new(&json!({"type": "object", "properties": {"a": {"type": "text"}}}));
        assert!(said.unwrap_err().contains("text"));
        let said =
            OutputSchema::new(&json!({"type": "object", "$ref": "http://127.0.0.1:1/x.json"}));
        assert!(said.is_err(), "nothing is fetched");
    }

    #[test]
    fn what_is_listed_admits_errors_and_otherwise_what_is_declared() {
        let error = json!({"error": {"code": "timeout", "message": "m"}});
        let declared = [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"],
                   "additionalProperties": false, "$defs": {"n": {"type": "integer"}}}),
            json!({"type": "object", "properties": {"n": {"type": "integer"}}, "minProperties": 1,
                   "oneOf": [{"required": ["n"]}, {"required": ["m"]}], "unevaluatedProperties": false}),
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            json!({"type": "object", "properties": {"n": {"type": "integer"}, "error": {"type": "null"}},
                   "required": ["n", "error"]}),
        ];
        for declared in declared {
            let schema = OutputSchema::new(&declared).unwrap();
            let listed = Value::Object(schema.listed.clone());
            let listed = jsonschema::validator_for(&listed).unwrap();
            assert!(listed.is_valid(&error), "{declared}");
            assert_eq!(schema.listed["type"], "object");
            for value in [
                json!({}),
                json!({"n": 1}),
                json!({"n": "1"}),
                json!({"n": 1, "error": null}),
                json!({"x": 1}),
            ] {
                let expected = schema.problems(&value).is_empty();
                assert_eq!(listed.is_valid(&value), expected, "{declared}: {value}");
            }
        }
    }
}
