mod decisions;
mod explained;
mod listed;
mod load;
mod values;

use serde_json::{Map, Value, json};

use super::*;
use crate::clock::Timestamp;

/// A tool of a plugin with an argument of each kind.
pub(super) fn action(name: &str, groups: &[&str], properties: &Value) -> Action {
    let plugin = name.split("__").next().unwrap().to_owned();
    let mut all = vec![CALL.to_owned(), format!("plugin__{plugin}")];
    all.extend(groups.iter().map(|group| (*group).to_owned()));
    Action {
        name: name.to_owned(),
        plugin,
        groups: all,
        input_schema: json!({"type": "object", "properties": properties, "additionalProperties": false}),
    }
}

/// The tools of most tests.
pub(super) fn tools() -> Vec<Action> {
    let open = json!({"type": "object", "properties": {}, "additionalProperties": true});
    vec![
        action(
            "devops__deploy",
            &[],
            &json!({
                "environment": {"type": "string", "enum": ["staging", "production"]},
                "count": {"type": "integer"},
                "dry-run": {"type": "boolean"},
            }),
        ),
        action(
            "devops__drop",
            &[DESTRUCTIVE],
            &json!({"table": {"type": "string"}}),
        ),
        action("notes__read", &[READ_ONLY], &json!({})),
        Action {
            input_schema: open.clone(),
            ..action("shell__run", &[], &json!({}))
        },
        Action::builtin("jobs__list", FOLLOW, open.clone()),
        Action::builtin("settings__set", ADMINISTER, open),
    ]
}

pub(super) fn file(text: &str) -> RuleFile {
    RuleFile {
        name: "rules.cedar".to_owned(),
        text: text.to_owned(),
    }
}

pub(super) fn policies(text: &str) -> Policies {
    let berlin = "Europe/Berlin".parse().unwrap();
    Policies::compile(&[file(text)], &tools(), berlin).unwrap()
}

pub(super) fn subject(agent: &str, groups: &[&str]) -> Subject {
    Subject {
        agent: agent.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

/// A call over HTTP on a Monday at ten in the zone of the tests.
pub(super) fn session() -> Session {
    Session {
        via: Via::Call,
        transport: "http",
        address: Some("::ffff:10.0.0.7".parse().unwrap()),
        now: Timestamp::parse("2026-11-30T09:00:00Z").unwrap(),
        dry_run: false,
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// The decision about a call in the session of the tests.
pub(super) fn decide(policies: &Policies, who: &Subject, tool: &str, arguments: Value) -> Decision {
    let (arguments, session) = (object(arguments), session());
    policies.decide(&Question {
        subject: who,
        plugin: plugin_of(tool),
        tool,
        arguments: &arguments,
        session: &session,
    })
}

/// The plugin of a tool of the tests.
pub(super) fn plugin_of(tool: &str) -> &str {
    let builtin = ["jobs__list", "settings__set"].contains(&tool);
    let (plugin, _) = tool.split_once("__").unwrap_or((tool, ""));
    if builtin { BUILTIN_PLUGIN } else { plugin }
}
