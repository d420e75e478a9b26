//! `name=value` on the command line, read as the types that a tool's schema declares.

use serde_json::{Map, Value};

use crate::failure::BadUsage;

/// The arguments of a call: `--args`, and above it each `name=value`, typed by the tool's JSON Schema.
///
/// # Errors
/// [`BadUsage`], which names the argument and what was expected.
pub(crate) fn read(
    tool: &str,
    schema: &Map<String, Value>,
    json: Option<&str>,
    pairs: &[String],
) -> Result<Map<String, Value>, BadUsage> {
    let mut arguments = json.map_or_else(|| Ok(Map::new()), object)?;
    let mut given = Map::new();
    for pair in pairs {
        let Some((name, text)) = pair.split_once('=') else {
            return Err(BadUsage(format!(
                "'{pair}' is no argument: write name=value{}",
                parameters(tool, schema)
            )));
        };
        let property = property(schema, name).ok_or_else(|| {
            BadUsage(format!(
                "{tool} has no parameter '{name}'{}",
                parameters(tool, schema)
            ))
        })?;
        add(&mut given, name, text, property)?;
    }
    arguments.extend(given);
    Ok(arguments)
}

/// The same for a tool whose schema is not known: each value is JSON, or text where it is none.
///
/// # Errors
/// [`BadUsage`], which names the argument.
pub(crate) fn untyped(
    json: Option<&str>,
    pairs: &[String],
) -> Result<Map<String, Value>, BadUsage> {
    let mut arguments = json.map_or_else(|| Ok(Map::new()), object)?;
    for pair in pairs {
        let (name, text) = pair
            .split_once('=')
            .ok_or_else(|| BadUsage(format!("'{pair}' is no argument: write name=value")))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        arguments.insert(name.to_owned(), value);
    }
    Ok(arguments)
}

/// What a parameter takes, for people: `expression=STRING [precision=INTEGER]`, required ones first.
pub(crate) fn signature(schema: &Map<String, Value>) -> String {
    let required = required(schema);
    let describe = |(name, property): (&String, &Value)| {
        let text = format!(
            "{name}={}",
            kind(property).unwrap_or("value").to_uppercase()
        );
        if required.contains(&name.as_str()) {
            text
        } else {
            format!("[{text}]")
        }
    };
    let mut properties: Vec<_> = properties(schema).collect();
    properties.sort_by_key(|(name, _)| !required.contains(&name.as_str()));
    properties
        .into_iter()
        .map(describe)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The names of the parameters that must be given.
pub(crate) fn required(schema: &Map<String, Value>) -> Vec<&str> {
    schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn object(json: &str) -> Result<Map<String, Value>, BadUsage> {
    match serde_json::from_str(json) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Err(BadUsage(
            "--args must be a JSON object, such as '{\"expression\": \"2+2\"}'".to_owned(),
        )),
        Err(error) => Err(BadUsage(format!("--args is no JSON: {error}"))),
    }
}

fn properties(schema: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// The schema of a parameter; a tool that is open takes names that it did not declare, too.
fn property<'s>(schema: &'s Map<String, Value>, name: &str) -> Option<&'s Value> {
    let declared = schema
        .get("properties")
        .and_then(|properties| properties.get(name));
    declared.or_else(|| {
        schema
            .get("additionalProperties")
            .filter(|more| **more != Value::Bool(false))
    })
}

fn add(
    arguments: &mut Map<String, Value>,
    name: &str,
    text: &str,
    property: &Value,
) -> Result<(), BadUsage> {
    if kind(property) != Some("array") {
        let value = typed(name, text, property)?;
        return match arguments.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(BadUsage(format!(
                "'{name}' is given twice, but takes one value"
            ))),
        };
    }
    let added = match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items,
        _ => vec![typed(
            name,
            text,
            property.get("items").unwrap_or(&Value::Null),
        )?],
    };
    let so_far = arguments
        .entry(name)
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(items) = so_far {
        items.extend(added);
    }
    Ok(())
}

/// The text as the declared type. What a schema leaves open is a string: nobody must quote a quote to send one.
fn typed(name: &str, text: &str, property: &Value) -> Result<Value, BadUsage> {
    let json = |expected: &str, is: fn(&Value) -> bool| {
        serde_json::from_str(text)
            .ok()
            .filter(is)
            .ok_or_else(|| BadUsage(format!("'{name}' is '{text}', but must be {expected}")))
    };
    match kind(property) {
        Some("integer") => json("a whole number", |value| value.is_i64() || value.is_u64()),
        Some("number") => json("a number", Value::is_number),
        Some("boolean") => json("true or false", Value::is_boolean),
        Some("object") => json("a JSON object", Value::is_object),
        Some("array") => json("a JSON array", Value::is_array),
        Some("null") => json("null", Value::is_null),
        _ => Ok(Value::from(text)),
    }
}

/// The type; of several the first that is not null, as in `["integer", "null"]`.
fn kind(property: &Value) -> Option<&str> {
    let kind = property.get("type")?;
    let several = || {
        kind.as_array()?
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
    };
    kind.as_str().or_else(several)
}

fn parameters(tool: &str, schema: &Map<String, Value>) -> String {
    let signature = signature(schema);
    if signature.is_empty() {
        format!("; {tool} takes none")
    } else {
        format!("; it takes: {signature}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Map<String, Value> {
        let schema = json!({
            "type": "object",
            "properties": {
                "dry-run": {"type": "boolean"},
                "text": {"type": "string"},
                "count": {"type": "integer"},
                "ratio": {"type": ["number", "null"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "ports": {"type": "array", "items": {"type": "integer"}},
                "extra": {"type": "object"},
                "any": {},
            },
            "required": ["text"],
            "additionalProperties": false,
        });
        schema.as_object().unwrap().clone()
    }

    fn given(json: Option<&str>, pairs: &[&str]) -> Result<Value, String> {
        let pairs: Vec<_> = pairs.iter().map(ToString::to_string).collect();
        read("demo__all", &schema(), json, &pairs)
            .map(Value::Object)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values_become_what_the_schema_declares() {
        let rows: &[(&[&str], Value)] = &[
            (&[], json!({})),
            (&["text=7"], json!({"text": "7"})),
            (&["text=a=b"], json!({"text": "a=b"})),
            (&["text="], json!({"text": ""})),
            (&["count=-7"], json!({"count": -7})),
            (&["count=18446744073709551615"], json!({"count": u64::MAX})),
            (&["ratio=7"], json!({"ratio": 7})),
            (&["ratio=1.50"], json!({"ratio": 1.5})),
            (&["dry-run=true"], json!({"dry-run": true})),
            (&["tags=a", "tags=b,c"], json!({"tags": ["a", "b,c"]})),
            (&["tags=[\"a\"]", "tags=b"], json!({"tags": ["a", "b"]})),
            (&["tags=[odd"], json!({"tags": ["[odd"]})),
            (&["tags=7"], json!({"tags": ["7"]})),
            (
                &["ports=80", "ports=[81, 82]"],
                json!({"ports": [80, 81, 82]}),
            ),
            (&["extra={\"a\": [1]}"], json!({"extra": {"a": [1]}})),
            (&["any=7"], json!({"any": "7"})),
        ];
        for (pairs, expected) in rows {
            assert_eq!(given(None, pairs).as_ref(), Ok(expected), "{pairs:?}");
        }
    }

    #[test]
    fn single_values_win_over_the_json_object() {
        let both = given(
            Some(r#"{"text": "a", "tags": ["x"], "count": 1}"#),
            &["text=b", "tags=y"],
        );
        assert_eq!(both, Ok(json!({"text": "b", "tags": ["y"], "count": 1})));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let takes = "it takes: text=STRING [dry-run=BOOLEAN] [count=INTEGER] [ratio=NUMBER] [tags=ARRAY] \
                     [ports=ARRAY] [extra=OBJECT] [any=VALUE]";
        let rows: &[(Option<&str>, &[&str], &str)] = &[
            (
                None,
                &["count=7.5"],
                "'count' is '7.5', but must be a whole number",
            ),
            (
                None,
                &["count=many"],
                "'count' is 'many', but must be a whole number",
            ),
            (
                None,
                &["ratio=NaN"],
                "'ratio' is 'NaN', but must be a number",
            ),
            (
                None,
                &["dry-run=yes"],
                "'dry-run' is 'yes', but must be true or false",
            ),
            (
                None,
                &["extra=[1]"],
                "'extra' is '[1]', but must be a JSON object",
            ),
            (
                None,
                &["ports=http"],
                "'ports' is 'http', but must be a whole number",
            ),
            (
                None,
                &["text=a", "text=b"],
                "'text' is given twice, but takes one value",
            ),
            (
                None,
                &["txet=a"],
                &format!("demo__all has no parameter 'txet'; {takes}"),
            ),
            (
                None,
                &["2+2"],
                &format!("'2+2' is no argument: write name=value; {takes}"),
            ),
            (
                Some("[1]"),
                &[],
                "--args must be a JSON object, such as '{\"expression\": \"2+2\"}'",
            ),
            (
                Some("{"),
                &[],
                "--args is no JSON: EOF while parsing an object at line 1 column 1",
            ),
        ];
        for (json, pairs, expected) in rows {
            assert_eq!(
                given(*json, pairs).as_ref().map_err(String::as_str),
                Err(*expected)
            );
        }
    }

    #[test]
    fn an_open_tool_takes_names_that_it_did_not_declare() {
        let schema = json!({"type": "object", "properties": {}, "additionalProperties": true});
        let read = read(
            "t",
            schema.as_object().unwrap(),
            None,
            &["anything=7".to_owned()],
        )
        .unwrap();
        assert_eq!(Value::Object(read), json!({"anything": "7"}));
    }
}
