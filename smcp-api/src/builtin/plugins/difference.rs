//! What differs between a plugin as it was accepted and as it describes itself now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value, json};
use smcp_common::plugin::{Plugin, Tool};

/// What a plugin says of itself that matters to whoever accepts it, beside its tools.
const OF_PLUGIN: [&str; 7] = [
    "entry",
    "interpreter",
    "description",
    "sandbox",
    "runtime",
    "files",
    "secrets",
];

/// What differs.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    tools: Tools,
    /// What the plugin says of itself.
    changes: Vec<Change>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Tools {
    added: Vec<Value>,
    removed: Vec<Value>,
    changed: Vec<Changed>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Changed {
    name: String,
    changes: Vec<Change>,
}

/// One thing, before and after; `null` is what was not there.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    what: String,
    before: Value,
    after: Value,
}

impl Difference {
    /// From `before`, where anything was accepted, to `after`.
    pub(super) fn between(before: Option<&Plugin>, after: &Plugin) -> Self {
        let by_name = |plugin: &Plugin| -> BTreeMap<String, Tool> {
            let tools = plugin.tools.iter().cloned();
            tools.map(|tool| (tool.name.to_string(), tool)).collect()
        };
        let (old, new) = (before.map(by_name).unwrap_or_default(), by_name(after));
        let mut tools = Tools::default();
        for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            match (old.get(name), new.get(name)) {
                (None, Some(tool)) => tools.added.push(shown(tool)),
                (Some(tool), None) => tools.removed.push(shown(tool)),
                (Some(old), Some(new)) if old != new => tools.changed.push(Changed {
                    name: name.clone(),
                    changes: of_tool(old, new),
                }),
                (_, _) => {}
            }
        }
        let changes = before.map(|before| {
            let (before, after) = (object(before), object(after));
            let changes = OF_PLUGIN.map(|key| Change::of(key, before.get(key), after.get(key)));
            changes.into_iter().flatten().collect()
        });
        Self {
            tools,
            changes: changes.unwrap_or_default(),
        }
    }
}

fn shown(tool: &Tool) -> Value {
    let mut shown = json!({
        "name": tool.name,
        "description": tool.description,
        "effect": tool.effect,
        "annotations": tool.annotations,
        "input_schema": tool.input_schema(),
    });
    if let Some(sandbox) = &tool.sandbox {
        shown["sandbox"] = json!(sandbox);
    }
    shown
}

fn of_tool(old: &Tool, new: &Tool) -> Vec<Change> {
    let (old, new) = (object(old), object(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        match key.as_str() {
            "parameters" => {
                let (before, after) = (named(before), named(after));
                changes.extend(each("parameter", &before, &after));
                // A plugin may take them by their places.
                if changes.is_empty() && before == after {
                    let (before, after) = (old.get(key), new.get(key));
                    changes.extend(Change::of(
                        "order of parameters",
                        order(before).as_ref(),
                        order(after).as_ref(),
                    ));
                }
            }
            "annotations" => {
                let of = |value: Option<&Value>| {
                    let object = value.and_then(Value::as_object);
                    object.cloned().unwrap_or_default()
                };
                changes.extend(each("annotation", &of(before), &of(after)));
            }
            _ => changes.extend(Change::of(key, before, after)),
        }
    }
    changes
}

/// What differs between two sets of named things; where both have one that is an object, key by key.
fn each(what: &str, before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Change> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
                changes.extend(keys.into_iter().filter_map(|key| {
                    let what = format!("{what} {name}, {key}");
                    Change::of(&what, before.get(key), after.get(key))
                }));
            }
            (before, after) => {
                changes.extend(Change::of(&format!("{what} {name}"), before, after));
            }
        }
    }
    changes
}

/// Parameters by their names.
fn named(parameters: Option<&Value>) -> Map<String, Value> {
    let parameters = parameters.and_then(Value::as_array).into_iter().flatten();
    let named = |parameter: &Value| {
        let mut parameter = parameter.as_object()?.clone();
        let name = parameter.remove("name")?.as_str()?.to_owned();
        Some((name, Value::Object(parameter)))
    };
    parameters.filter_map(named).collect()
}

fn order(parameters: Option<&Value>) -> Option<Value> {
    let parameters = parameters?.as_array()?.iter();
    Some(
        parameters
            .map(|parameter| parameter["name"].clone())
            .collect(),
    )
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    // They are structs, made of text and numbers.
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => Map::new(),
    }
}

impl Change {
    fn of(what: &str, before: Option<&Value>, after: Option<&Value>) -> Option<Self> {
        let [before, after] = [before, after].map(|value| value.cloned().unwrap_or_default());
        (before != after).then(|| Self {
            what: what.to_owned(),
            before,
            after,
        })
    }
}

#[cfg(test)]
mod tests {
    use smcp_common::plugin::Manifest;

    use super::*;

    fn plugin(document: &Value) -> Plugin {
        let manifest = Manifest::parse(document).unwrap();
        Plugin {
            sandbox: manifest.sandbox.clone(),
            tools: manifest.into_tools("ship").0,
            ..Plugin::found("ship", "/p/ship")
        }
    }

    fn between(before: &Value, after: &Value) -> Value {
        json!(Difference::between(Some(&plugin(before)), &plugin(after)))
    }

    #[test]
    fn tools_come_go_and_change() {
        let before = json!({"commands": [
            {"name": "status", "effect": "read_only"},
            {"name": "deploy", "description": "Deploys.", "parameters": [
                {"name": "region", "type": "string", "enum": ["eu"], "required": true},
                {"name": "force", "type": "boolean"},
            ]},
            {"name": "same"},
        ]});
        let after = json!({"commands": [
            {"name": "purge", "annotations": {"destructiveHint": true}},
            {"name": "deploy", "description": "Deploys.", "effect": "read_only", "parameters": [
                {"name": "region", "type": "string", "enum": ["eu", "us"], "required": true},
                {"name": "wait", "type": "integer"},
            ]},
            {"name": "same"},
        ]});
        let difference = between(&before, &after);
        let tools = &difference["tools"];
        assert_eq!(tools["added"][0]["name"], "ship__purge");
        assert_eq!(tools["added"][0]["annotations"]["destructiveHint"], true);
        assert_eq!(tools["removed"][0]["name"], "ship__status");
        let changed = tools["changed"].as_array().unwrap();
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!(changed[0]["name"], "ship__deploy");
        let changes = changed[0]["changes"].as_array().unwrap();
        let what: Vec<_> = changes.iter().map(|change| &change["what"]).collect();
        let expected = [
            "annotation readOnlyHint",
            "effect",
            "parameter force",
            "parameter region, enum_values",
            "parameter wait",
        ];
        assert_eq!(what, expected);
        assert_eq!(changes[1]["before"], "once");
        assert_eq!(changes[1]["after"], "read_only");
        assert_eq!(changes[2]["after"], Value::Null);
        assert_eq!(changes[3]["after"], json!(["eu", "us"]));
        assert_eq!(changes[4]["before"], Value::Null);
    }

    #[test]
    fn what_the_plugin_asks_for_is_shown() {
        let before = json!({"commands": [{"name": "a"}]});
        let after = json!({"commands": [{"name": "a"}], "plugin": {"sandbox": {"limits": {"memory_mb": 1}}}});
        let difference = between(&before, &after);
        assert_eq!(difference["tools"]["changed"], json!([]));
        assert_eq!(difference["changes"][0]["what"], "sandbox");
        assert_eq!(between(&before, &before)["changes"], json!([]));
    }

    #[test]
    fn the_order_of_parameters_is_a_change() {
        let with = |names: [&str; 2]| {
            let parameters = names.map(|name| json!({"name": name}));
            json!({"commands": [{"name": "a", "parameters": parameters}]})
        };
        let difference = between(&with(["x", "y"]), &with(["y", "x"]));
        let changes = &difference["tools"]["changed"][0]["changes"];
        assert_eq!(
            *changes,
            json!([{"what": "order of parameters", "before": ["x", "y"], "after": ["y", "x"]}])
        );
    }

    #[test]
    fn of_a_plugin_that_was_never_accepted_everything_is_new() {
        let after = plugin(&json!({"commands": [{"name": "a"}]}));
        let difference = Difference::between(None, &after);
        assert_eq!(difference.tools.added.len(), 1);
        assert_eq!(difference.changes, []);
    }
}
