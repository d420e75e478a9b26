//! The tools as Cedar's schema: what rules may name, and of which types it is.

use std::collections::BTreeSet;

use cedar_policy::Schema;
use serde_json::{Map, Value, json};

use super::action::GROUPS;
use super::governed::Governed;
use super::{Action, Fault};

/// The schema of `tools`, which keeps only those that have a place in it: no other tool can be decided about.
pub(super) fn build(tools: &mut Vec<Governed>) -> Result<Schema, Fault> {
    let mut names = BTreeSet::new();
    tools.retain(|tool| {
        !tool.action.is_named_like_a_group() && names.insert(tool.action.name.clone())
    });
    if let Ok(schema) = Schema::from_json_value(described(tools)) {
        return Ok(schema);
    }
    // One tool must not take the rules from all the others.
    tools.retain(|tool| Schema::from_json_value(described(std::slice::from_ref(tool))).is_ok());
    Schema::from_json_value(described(tools))
        .map_err(|_| Fault::Internal("the schema of the tools"))
}

fn described(tools: &[Governed]) -> Value {
    let groups = tools.iter().flat_map(|tool| &tool.action.groups);
    let mut actions: Map<_, _> = groups
        .map(String::as_str)
        .chain(GROUPS)
        .map(|group| (group.to_owned(), json!({})))
        .collect();
    for tool in tools {
        actions.insert(tool.action.name.clone(), action(&tool.action, tool));
    }
    json!({"Smcp": {
        "commonTypes": {"Session": {"type": "Record", "attributes": {
            "via": {"type": "String"},
            "transport": {"type": "String"},
            "address": {"type": "Extension", "name": "ipaddr", "required": false},
            "now": {"type": "Extension", "name": "datetime"},
            "weekday": {"type": "Long"},
            "minute_of_day": {"type": "Long"},
            "dry_run": {"type": "Boolean"},
        }}},
        "entityTypes": {"Agent": {"memberOfTypes": ["Group"]}, "Group": {}, "Plugin": {}},
        "actions": actions,
    }})
}

fn action(action: &Action, tool: &Governed) -> Value {
    let parents: Vec<_> = action
        .groups
        .iter()
        .map(|group| json!({"id": group}))
        .collect();
    let mut attributes = json!({"input": tool.fields.cedar(), "session": {"type": "Session"}});
    if tool.fields.is_open() {
        attributes["undeclared"] = json!({"type": "String", "required": false});
    }
    json!({
        "memberOf": parents,
        "appliesTo": {
            "principalTypes": ["Agent"],
            "resourceTypes": ["Plugin"],
            "context": {"type": "Record", "attributes": attributes},
        },
    })
}
