//! Whether arguments are what a tool takes, as far as its parameters say so. The API validates against the whole
//! schema; this is for who has none, and for arguments of which a part is not known yet.

use serde_json::{Map, Value};

use super::Tool;

/// What does not fit, each with its parameter: names that the tool does not have, required ones that are missing, values
/// of another type or outside the enumeration. Values that `is_open` are taken to fit. `arguments` are normalised.
pub fn misfits(
    tool: &Tool,
    arguments: &Map<String, Value>,
    is_open: impl Fn(&Value) -> bool,
) -> Vec<(String, String)> {
    let mut misfits = Vec::new();
    let known: Vec<_> = tool
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    // A schema of the plugin's own may admit more, and other types.
    let is_closed = !tool.open && tool.own_schema.is_none();
    for name in arguments.keys() {
        if is_closed && tool.parameter(name).is_none() {
            let takes = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let problem = format!("{} has no such parameter; there are: {takes}", tool.name);
            misfits.push((name.clone(), problem));
        }
    }
    for parameter in &tool.parameters {
        let problem = match arguments.get(&parameter.name) {
            None if parameter.required => "it is required, and missing".to_owned(),
            Some(value) if !is_open(value) && tool.own_schema.is_none() => {
                let kind = parameter.kind;
                if !kind.admits(value) {
                    format!("it must be of type {}", kind.as_str())
                } else if let Some(allowed) = &parameter.enum_values
                    && !allowed.contains(value)
                {
                    format!("it must be one of {}", Value::from(allowed.clone()))
                } else {
                    continue;
                }
            }
            None | Some(_) => continue,
        };
        misfits.push((parameter.name.clone(), problem));
    }
    misfits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::manifest::tests::tool;

    #[test]
    fn what_does_not_fit_is_named() {
        let tool = tool(&json!([
            {"name": "version", "required": true},
            {"name": "count", "type": "integer"},
            {"name": "level", "enum": ["low", "high"]},
        ]));
        let rows = [
            (json!({"version": "1", "count": 2, "level": "low"}), ""),
            (
                json!({"version": "OPEN", "count": "OPEN", "level": "OPEN"}),
                "",
            ),
            (json!({}), "version: it is required, and missing"),
            (
                json!({"version": "1", "count": "x", "level": "mid"}),
                r#"count: it must be of type integer; level: it must be one of ["low","high"]"#,
            ),
        ];
        for (arguments, expected) in rows {
            let found = misfits(&tool, arguments.as_object().unwrap(), |value| {
                value == "OPEN"
            });
            let found: Vec<_> = found
                .iter()
                .map(|(name, problem)| format!("{name}: {problem}"))
                .collect();
            assert_eq!(found.join("; "), expected);
        }
        let other = json!({"version": "1", "versoin": "2"});
        let [(name, problem)] = misfits(&tool, other.as_object().unwrap(), |_| false)
            .try_into()
            .unwrap();
        assert_eq!(name, "versoin");
        assert!(
            problem.ends_with("there are: version, count, level"),
            "{problem}"
        );
    }
}
