//! Manifests, row by row, and what other tests of this crate build their tools with.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::job::{Effect, Retry, RetryOn};
use crate::plugin::{
    FlagStyle, Kind, Lane, OnDisconnect, Output, Parameter, Plugin, SecretForm, Warm,
};
use crate::sandbox::Mode;

/// The tool of a manifest whose only command is `command`.
pub(in crate::plugin) fn tool_of(command: &Value) -> Tool {
    let (mut tools, problems) = Manifest::parse(&json!({"commands": [command]}))
        .unwrap()
        .into_tools("toy");
    assert_eq!(problems, []);
    tools.remove(0)
}

/// A tool with these parameters.
pub(in crate::plugin) fn tool(parameters: &Value) -> Tool {
    tool_of(&json!({"name": "run", "parameters": parameters}))
}

/// These parameters.
pub(in crate::plugin) fn parameters(parameters: &Value) -> Vec<Parameter> {
    tool(parameters).parameters
}

fn problems(document: &Value) -> String {
    let found = Manifest::parse(document).map(|_| ()).unwrap_err();
    found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn warnings(document: &Value) -> Vec<String> {
    Manifest::parse(document)
        .unwrap()
        .into_tools("toy")
        .1
        .into_iter()
        .map(String::from)
        .collect()
}

/// The one problem of a manifest with one command, which is `command`.
pub(in crate::plugin) fn command_problem(command: &Value) -> String {
    problems(&json!({"commands": [command]}))
}

#[test]
fn what_the_original_accepts_is_accepted() {
    let rows = [
        ("P4 contract version may be absent", json!({"commands": []})),
        (
            "P4 a newer minor version",
            json!({"contract_version": "1.4.2", "commands": []}),
        ),
        (
            "P4 the plugin's name need not be the directory's",
            json!({"plugin": {"name": "other"}, "commands": []}),
        ),
        (
            "P4 a plugin without a name",
            json!({"plugin": {"version": 3, "description": 4}, "commands": []}),
        ),
        ("P4 no parameters", json!({"commands": [{"name": "a"}]})),
        (
            "P4 extra keys",
            json!({"x": 1, "plugin": {"x": 1}, "commands": [{"name": "a", "x": 1, "parameters": [{"name": "b", "x": 1}]}]}),
        ),
        (
            "null is absent",
            json!({"contract_version": null, "plugin": null, "commands": [{"name": "a", "parameters": null}]}),
        ),
    ];
    for (row, document) in rows {
        assert_eq!(Manifest::parse(&document).map(|_| ()), Ok(()), "{row}");
    }
}

#[test]
fn a_document_that_is_none_is_refused() {
    insta::assert_snapshot!(problems(&json!([])), @"the --describe document must be a JSON object");
    insta::assert_snapshot!(problems(&json!({})), @"missing required 'commands' array");
    insta::assert_snapshot!(problems(&json!({"commands": {}})), @"'commands' must be an array");
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let document = json!({
        "contract_version": "2.0",
        "plugin": {"name": " ", "sandbox": "strict", "runtime": [], "secrets": "TOKEN"},
        "commands": [
            "nope",
            {"description": 5},
            {"name": " "},
            {"name": "bad name!", "parameters": {"a": 1}},
            {"name": "c", "parameters": [
                1,
                {"type": "str"},
                {"name": "", "type": ["string", "null"], "required": "yes", "description": 9},
            ]},
            {"name": "c"},
        ],
    });
    insta::assert_snapshot!(problems(&document), @r#"
    unsupported contract_version '2.0': this is contract version 1
    plugin.name must be a non-empty string
    plugin.sandbox must be an object
    plugin.runtime must be an object
    plugin.secrets must be an array
    commands[0] must be an object
    commands[1].name is required
    commands[1].description must be a string
    commands[2].name must be a non-empty string
    commands[3].name 'bad name!' must match ^[a-zA-Z0-9_-]+$, as it becomes a part of the tool's name
    commands[3].parameters must be an array
    commands[4].parameters[0] must be an object
    commands[4].parameters[1].name is required
    commands[4].parameters[1].type 'str' is not one of array|boolean|integer|number|object|string
    commands[4].parameters[2].name must be a non-empty string
    commands[4].parameters[2].type ["string","null"] is not one of array|boolean|integer|number|object|string
    commands[4].parameters[2].description must be a string
    commands[4].parameters[2].required must be a boolean
    commands[5].name 'c' is already the name of another command
    "#);
    insta::assert_snapshot!(problems(&json!({"contract_version": 1.0, "plugin": 1, "commands": []})), @r"
    contract_version must be a string
    plugin must be an object
    ");
}

#[test]
fn the_additions_are_checked_in_the_same_way() {
    let command = json!({
        "name": "c",
        "annotations": {"title": 1, "readOnlyHint": "yes"},
        "timeout_seconds": 0,
        "retry": {"max_attempts": 0, "initial_ms": 1.5, "factor": 0.5, "max_ms": 10, "retry_on": ["error", "luck"]},
        "lane": "deploy:{nope}",
        "effect": "twice",
        "on_disconnect": "hang_up",
        "output": "xml",
        "output_schema": {"type": "array"},
        "sandbox": {"limits": {"memory": 1}},
        "parameters": [{
            "name": "p", "items": "string", "enum": [], "minimum": 2, "maximum": 1, "pattern": 1, "format": 1, "secret": 1,
        }],
    });
    insta::assert_snapshot!(command_problem(&command), @r#"
    commands[0].parameters[0].items must be an object
    commands[0].parameters[0].enum must be a non-empty array
    commands[0].parameters[0].minimum 2 is more than the maximum 1
    commands[0].parameters[0].pattern must be a string
    commands[0].parameters[0].format must be a string
    commands[0].parameters[0].secret must be a boolean
    commands[0].annotations.title must be a string
    commands[0].annotations.readOnlyHint must be a boolean
    commands[0].effect 'twice' is not one of read_only|idempotent|once
    commands[0].timeout_seconds must be more than 0 and at most a year
    commands[0].lane names 'nope', which is not a parameter of this command
    commands[0].retry.max_attempts must be an integer between 1 and 100
    commands[0].retry.initial_ms must be an integer between 0 and 86400000
    commands[0].retry.factor must be between 1 and 100
    commands[0].retry.max_ms must not be less than initial_ms, which is 1000
    commands[0].retry.retry_on[1] 'luck' is not one of error|timeout|worker_lost
    commands[0].on_disconnect 'hang_up' is not one of detach|cancel
    commands[0].output 'xml' is not one of text|json|mcp
    commands[0].output_schema must have the type "object" at its root
    commands[0].sandbox.limits: unknown field `memory`, expected one of `memory_mb`, `processes`, `cpu_seconds`, `wall_seconds`, `file_mb`, `open_files`, `stdout_kb`, `stderr_kb`
    "#);
    insta::assert_snapshot!(
        command_problem(&json!({"name": "c", "lane": "x", "parallel": true, "output": "text", "output_schema": {"type": "object"}})),
        @r"
    commands[0].parallel excludes a lane: what runs in a lane runs one after the other
    commands[0].output_schema needs an output of json or mcp
    "
    );
}

#[test]
fn a_full_command_is_read_whole() {
    let tool = tool_of(&json!({
        "name": "deploy",
        "description": "Deploys an app",
        "parameters": [{"name": "app-name", "required": true}, {"name": "replicas", "type": "integer", "default": 2.0}],
        "annotations": {"title": "Deploy", "destructiveHint": true},
        "timeout_seconds": 1.5,
        "retry": {"max_attempts": 5, "max_ms": 60_000, "retry_on": ["timeout", "worker_lost"]},
        "lane": "deploy:{app_name}",
        "effect": "idempotent",
        "on_disconnect": "cancel",
        "output_schema": {"type": "object"},
    }));
    assert_eq!(
        (
            tool.name.as_str(),
            tool.plugin.as_str(),
            tool.command.as_str()
        ),
        ("toy__deploy", "toy", "deploy")
    );
    assert_eq!(tool.parameters[1].default, Some(json!(2)));
    assert_eq!(tool.timeout_ms, Some(1_500));
    assert_eq!(tool.effect, Effect::Idempotent);
    assert_eq!(tool.on_disconnect, OnDisconnect::Cancel);
    assert_eq!(tool.annotations.idempotent_hint, Some(true));
    assert_eq!(
        tool.lane,
        Lane::Template("deploy:{app-name}".parse().unwrap())
    );
    assert_eq!(tool.output, Output::Json);
    let retry_on = vec![RetryOn::Timeout, RetryOn::WorkerLost];
    assert_eq!(
        tool.retry,
        Some(Retry {
            max_attempts: 5,
            max_ms: 60_000,
            retry_on,
            ..Retry::default()
        })
    );
}

#[test]
fn a_bare_command_is_a_careful_tool() {
    let tool = tool_of(&json!({"name": "run"}));
    assert_eq!(tool.description, "Execute toy run command");
    assert_eq!(
        (tool.effect, tool.lane, tool.output, tool.open),
        (Effect::Once, Lane::Plugin, Output::Text, false)
    );
    assert_eq!(tool.on_disconnect, OnDisconnect::Detach);
    assert_eq!(
        (tool.timeout_ms, tool.retry, tool.output_schema),
        (None, None, None)
    );
    assert_eq!(
        tool_of(&json!({"name": "run", "parallel": true})).lane,
        Lane::Parallel
    );
    assert_eq!(
        tool_of(&json!({"name": "run", "annotations": {"readOnlyHint": true}})).effect,
        Effect::ReadOnly
    );
}

#[test]
fn the_style_of_a_flag_follows_its_declaration() {
    let rows = [
        ("R3 nothing", json!({}), FlagStyle::Value),
        ("R3 store", json!({"action": "store"}), FlagStyle::Value),
        (
            "R3 arg_style",
            json!({"arg_style": "value"}),
            FlagStyle::Value,
        ),
        (
            "R3 takes_value",
            json!({"takes_value": true}),
            FlagStyle::Value,
        ),
        (
            "R4 store_true",
            json!({"action": "store_true"}),
            FlagStyle::Flag,
        ),
        (
            "R4 store_false in capitals",
            json!({"action": " STORE_FALSE "}),
            FlagStyle::Flag,
        ),
        (
            "R4 arg_style",
            json!({"arg_style": "flag"}),
            FlagStyle::Flag,
        ),
        (
            "R4 takes_value",
            json!({"takes_value": false}),
            FlagStyle::Flag,
        ),
        (
            "R4 action before arg_style",
            json!({"action": "store_true", "arg_style": "value"}),
            FlagStyle::Flag,
        ),
        (
            "R4 arg_style before takes_value",
            json!({"arg_style": "value", "takes_value": false}),
            FlagStyle::Value,
        ),
        (
            "R4 store leaves it to arg_style",
            json!({"action": "store", "arg_style": "flag"}),
            FlagStyle::Flag,
        ),
    ];
    for (row, mut parameter, expected) in rows {
        parameter["name"] = json!("x");
        parameter["type"] = json!("boolean");
        assert_eq!(parameters(&json!([parameter]))[0].flag, expected, "{row}");
    }
}

#[test]
fn connect_and_disconnect_are_dropped() {
    let document =
        json!({"commands": [{"name": "connect"}, {"name": "a"}, {"name": "disconnect"}]});
    let (tools, problems) = Manifest::parse(&document).unwrap().into_tools("toy");
    assert_eq!(
        tools
            .iter()
            .map(|tool| tool.command.as_str())
            .collect::<Vec<_>>(),
        ["a"],
        "P5"
    );
    assert_eq!(problems, []);
}

#[test]
fn a_command_with_too_long_a_name_leaves_the_others() {
    let document = json!({"commands": [{"name": "c".repeat(60)}, {"name": "a"}]});
    let (tools, problems) = Manifest::parse(&document).unwrap().into_tools("toy");
    assert_eq!(
        tools
            .iter()
            .map(|tool| tool.name.as_str())
            .collect::<Vec<_>>(),
        ["toy__a"],
        "D16"
    );
    assert!(
        problems[0]
            .to_string()
            .contains("65 characters, but clients accept at most 64"),
        "{problems:?}"
    );
}

#[test]
fn what_cannot_be_used_is_ignored_with_a_warning() {
    let parameters = json!([
        {"name": "limit", "type": "integer", "default": "ten"},
        {"name": "mode", "enum": ["a", "b"], "default": "c"},
        {"name": "ratio", "type": "number", "maximum": 1, "default": 1.5},
        {"name": "tags", "type": "array", "enum": ["a", "b"]},
        {"name": "a_b"},
        {"name": "a-b"},
    ]);
    let document = json!({"commands": [{"name": "run", "parameters": parameters}]});
    insta::assert_snapshot!(warnings(&document).join("\n"), @r"
    commands[0].parameters[0].default is not of the type integer and is ignored
    commands[0].parameters[1].default is not in the enum and is ignored
    commands[0].parameters[2].default is out of range and is ignored
    commands[0].parameters[3].enum has no value of the type array and is ignored
    commands[0].parameters[5] is ignored: it is the same flag as parameters[4]
    ");
    let (tools, _) = Manifest::parse(&document).unwrap().into_tools("toy");
    assert!(
        tools[0]
            .parameters
            .iter()
            .all(|parameter| parameter.default.is_none())
    );
    assert_eq!(tools[0].parameters.len(), 5);
}

#[test]
fn the_plugins_own_wishes_are_kept() {
    let plugin = json!({"description": "d", "sandbox": {"network": {"mode": "proxy", "allow": ["A.example:443"]},
        "limits": {"memory_mb": 0, "processes": null}, "env": null}, "runtime": {"warm": "off"}, "secrets": ["TOKEN"]});
    let manifest = Manifest::parse(&json!({"plugin": plugin, "commands": []})).unwrap();
    assert_eq!(manifest.description.as_deref(), Some("d"));
    let kept = json!({"network": {"mode": "proxy", "allow": ["a.example:443"]}, "limits": {"memory_mb": 0}});
    assert_eq!(serde_json::to_value(&manifest.sandbox).unwrap(), kept);
    assert_eq!(manifest.runtime, Some(Runtime { warm: Warm::Off }));
    assert_eq!(manifest.secrets[0].name, "TOKEN");
    let silent = json!({"plugin": {"sandbox": {}, "runtime": {"warm": null}}, "commands": []});
    let silent = Manifest::parse(&silent).unwrap();
    assert_eq!(silent.sandbox, Some(Terms::default()));
    assert_eq!(silent.runtime, Some(Runtime { warm: Warm::Auto }));
}

#[test]
fn a_command_may_have_a_sandbox_of_its_own() {
    let document = json!({
        "plugin": {"sandbox": {"network": {"mode": "none"}, "limits": {"memory_mb": 7}}},
        "commands": [
            {"name": "as_the_plugin"},
            {"name": "own", "sandbox": {"network": {"mode": "full"}, "limits": {"memory_mb": 5, "processes": null}}},
            {"name": "silent", "sandbox": {}},
        ],
    });
    let manifest = Manifest::parse(&document).unwrap();
    let mut plugin = Plugin::found("toy", "/p/toy");
    plugin.sandbox = manifest.sandbox.clone();
    plugin.tools = manifest.into_tools("toy").0;
    let asks = |n: usize| serde_json::to_value(plugin.asks(&plugin.tools[n])).unwrap();
    assert_eq!(asks(0), document["plugin"]["sandbox"]);
    let own = json!({"network": {"mode": "full"}, "limits": {"memory_mb": 5}});
    assert_eq!(asks(1), own);
    assert_eq!(asks(2), json!({}));
    let most = json!({"network": {"mode": "full"}, "limits": {"memory_mb": 7}});
    assert_eq!(json!(plugin.asks_at_most()), most);
    let stored: Tool = serde_json::from_value(json!(plugin.tools[1])).unwrap();
    assert_eq!(stored, plugin.tools[1]);
}

#[test]
fn what_the_plugin_finds_wrong_itself_is_told() {
    let told: Vec<_> = (0..22)
        .map(|n| format!("problem {n} {}", "x".repeat(600)))
        .collect();
    let document = json!({"plugin": {"problems": told}, "commands": [{"name": "a"}]});
    let warnings = warnings(&document);
    assert_eq!(warnings.len(), 21);
    assert_eq!(warnings[0].chars().count(), 500);
    assert!(warnings[0].starts_with("problem 0 xxx"));
    assert_eq!(warnings[20], "and 2 more problems that it tells");
    let wrong = json!({"plugin": {"problems": ["a", 1]}, "commands": []});
    assert_eq!(problems(&wrong), "plugin.problems[1] must be a string");
}

#[test]
fn files_elsewhere_are_named_by_absolute_paths() {
    let files = |files: Value| {
        let document = json!({"plugin": {"files": files}, "commands": []});
        Manifest::parse(&document).map(|manifest| manifest.files)
    };
    let two = ["/etc/a.toml", "/etc/b.toml"].map(PathBuf::from);
    assert_eq!(
        files(json!(["/etc/a.toml", "/etc/b.toml", "/etc/a.toml"])),
        Ok(two.to_vec())
    );
    assert_eq!(files(json!(null)), Ok(Vec::new()));
    let many: Vec<_> = (0..17).map(|n| format!("/f{n}")).collect();
    let document = |files: Value| json!({"plugin": {"files": files}, "commands": []});
    insta::assert_snapshot!(problems(&document(json!(many))), @"plugin.files has 17 entries, but may have at most 16");
    insta::assert_snapshot!(problems(&document(json!("/etc/a.toml"))), @"plugin.files must be an array");
    insta::assert_snapshot!(problems(&document(json!(["a.toml", "/etc/../a", "/", 5]))), @r#"
    plugin.files[0] is "a.toml", but must be the absolute path of a file, without ..
    plugin.files[1] is "/etc/../a", but must be the absolute path of a file, without ..
    plugin.files[2] is "/", but must be the absolute path of a file, without ..
    plugin.files[3] is 5, but must be the absolute path of a file, without ..
    "#);
}

#[test]
fn a_wish_that_cannot_be_understood_is_named() {
    let plugin = json!({
        "sandbox": {
            "filesystem": {"read": ["/data", 5, "data", "/a/../b"], "write": "/out"},
            "network": {"mode": "https", "allow": ["a:1", "https://a", 70000, true]},
            "limits": {"memory_mb": -1, "memory": 5, "processes": 0, "cpu_seconds": "1"},
            "env": ["TOKEN"],
            "net": {"mode": "full"},
        },
        "runtime": {"warm": true, "cold": true},
    });
    let document = json!({"plugin": plugin, "commands": []});
    insta::assert_snapshot!(problems(&document), @r#"
    plugin.sandbox.filesystem.read[1]: invalid type: integer `5`, expected path string
    plugin.sandbox.filesystem.write: invalid type: string "/out", expected a sequence
    plugin.sandbox.network.mode: unknown variant `https`, expected one of `none`, `loopback-ports`, `proxy`, `full`
    plugin.sandbox.network.allow[1]: 'https://a' is no destination: it must be a host and a port, such as api.example.com:443
    plugin.sandbox.network.allow[2]: 70000 is no port: it must be between 1 and 65535
    plugin.sandbox.network.allow[3]: invalid type: boolean `true`, expected a destination such as "api.example.com:443" or a port
    plugin.sandbox.limits.memory_mb: invalid value: integer `-1`, expected u64
    plugin.sandbox.limits: unknown field `memory`, expected one of `memory_mb`, `processes`, `cpu_seconds`, `wall_seconds`, `file_mb`, `open_files`, `stdout_kb`, `stderr_kb`
    plugin.sandbox.limits.cpu_seconds: invalid type: string "1", expected u64
    plugin.sandbox.env must be an object
    plugin.sandbox: unknown field `net`, expected one of `filesystem`, `network`, `limits`, `env`
    plugin.runtime.warm: invalid type: boolean `true`, expected string or map
    plugin.runtime: unknown field `cold`, expected `warm`
    "#);
    let sandbox = json!({
        "filesystem": {"write": ["out"], "scratch_mb": 0},
        "network": {"mode": "proxy", "allow": ["a:1", 5432]},
        "env": {"allow": ["A=B"]},
    });
    let document = json!({"plugin": {"sandbox": sandbox}, "commands": []});
    insta::assert_snapshot!(problems(&document), @r#"
    plugin.sandbox.filesystem.write[0] is "out", but must be an absolute path without ..
    plugin.sandbox.network.allow[1] is 5432, but must be a destination such as "api.example.com:443" where network.mode is "proxy"
    plugin.sandbox.filesystem.scratch_mb is 0, but must be between 1 and 1000000000
    plugin.sandbox.env.allow[0] is "A=B", but must be the name of a variable, with a * at its end at most
    "#);
}

#[test]
fn the_published_schema_and_the_parser_know_the_same() {
    let contract: Value =
        serde_json::from_str(include_str!("../../../../plugins/contract/v1.json")).unwrap();
    let keys_of = |terms: Value| -> Vec<String> {
        let keys = terms.as_object().unwrap().keys();
        keys.cloned().collect()
    };
    let all = serde_json::to_value(Terms::default().complete()).unwrap();
    let wishes = [
        ("/$defs/sandbox", all.clone()),
        ("/$defs/filesystem", all["filesystem"].clone()),
        ("/$defs/network", all["network"].clone()),
        ("/$defs/limits", all["limits"].clone()),
        ("/$defs/env", all["env"].clone()),
        (
            "/$defs/runtime",
            serde_json::to_value(Runtime::default()).unwrap(),
        ),
    ]
    .map(|(place, value)| (place, keys_of(value)));
    let wishes = wishes.iter().map(|(place, keys)| {
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        (*place, keys)
    });
    let objects: [(&str, &[&str]); 7] = [
        ("", &KEYS),
        ("/$defs/plugin", &PLUGIN_KEYS),
        ("/$defs/command", &command::KEYS),
        ("/$defs/annotations", &command::ANNOTATION_KEYS),
        ("/$defs/retry", &command::RETRY_KEYS),
        ("/$defs/parameter", &parameter::KEYS),
        ("/$defs/secret", &secrets::SECRET_KEYS),
    ];
    let objects = objects.map(|(place, keys)| (place, keys.to_vec()));
    for (place, keys) in objects.into_iter().chain(wishes) {
        let properties = contract.pointer(place).unwrap()["properties"]
            .as_object()
            .unwrap();
        let published: BTreeSet<_> = properties.keys().map(String::as_str).collect();
        assert_eq!(published, keys.iter().copied().collect(), "{place}");
        for (key, property) in properties {
            assert!(
                property["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{place} {key} is not described"
            );
        }
    }
    let choices: [(&str, Vec<&str>); 8] = [
        (
            "/$defs/network/properties/mode",
            Mode::ALL.map(Mode::as_str).to_vec(),
        ),
        (
            "/$defs/runtime/properties/warm",
            Warm::ALL.map(Warm::as_str).to_vec(),
        ),
        (
            "/$defs/parameter/properties/type",
            Kind::ALL.map(Kind::as_str).to_vec(),
        ),
        (
            "/$defs/command/properties/effect",
            command::EFFECTS.map(Effect::as_str).to_vec(),
        ),
        (
            "/$defs/command/properties/on_disconnect",
            OnDisconnect::ALL.map(OnDisconnect::as_str).to_vec(),
        ),
        (
            "/$defs/command/properties/output",
            Output::ALL.map(Output::as_str).to_vec(),
        ),
        (
            "/$defs/secret/properties/as",
            SecretForm::ALL.map(SecretForm::as_str).to_vec(),
        ),
        (
            "/$defs/retry/properties/retry_on/items",
            RetryOn::ALL.map(RetryOn::as_str).to_vec(),
        ),
    ];
    for (place, names) in choices {
        assert_eq!(
            contract.pointer(place).unwrap()["enum"],
            json!(names),
            "{place}"
        );
    }
    for (section, keys) in all.as_object().unwrap() {
        for (key, value) in keys.as_object().unwrap() {
            let place = format!("/$defs/{section}/properties/{key}");
            let property = contract.pointer(&place).unwrap();
            assert_eq!(property["default"], *value, "{place}");
            let least = property["minimum"].as_u64();
            let refused = |number: u64| {
                let sandbox = json!({section: {key: number}});
                Manifest::parse(&json!({"plugin": {"sandbox": sandbox}, "commands": []})).is_err()
            };
            if value.is_number() {
                assert_eq!(least, Some(u64::from(refused(0))), "{place}");
                assert!(
                    refused(property["maximum"].as_u64().unwrap() + 1),
                    "{place}"
                );
                assert!(!refused(property["maximum"].as_u64().unwrap()), "{place}");
            }
        }
    }
    let files = contract.pointer("/$defs/plugin/properties/files").unwrap();
    assert_eq!(files["maxItems"], json!(wishes::MAX_FILES));
    let bounds = contract.pointer("/$defs/retry/properties").unwrap();
    for (key, least, most) in [
        ("max_attempts", 1, 100),
        ("initial_ms", 0, 86_400_000),
        ("max_ms", 0, 604_800_000),
    ] {
        let beyond = json!({"name": "c", "retry": {key: most + 1}});
        assert_eq!(
            command_problem(&beyond),
            format!("commands[0].retry.{key} must be an integer between {least} and {most}")
        );
        assert_eq!(
            (&bounds[key]["minimum"], &bounds[key]["maximum"]),
            (&json!(least), &json!(most)),
            "{key}"
        );
    }
}

#[test]
fn the_contract_states_the_defaults_of_a_profile() {
    let contract = include_str!("../../../../docs/plugins/contract.md");
    let all = serde_json::to_value(Terms::default().complete()).unwrap();
    for (section, keys) in all.as_object().unwrap() {
        for (key, value) in keys.as_object().unwrap() {
            let [code, number] = [
                format!("| `{section}.{key}` | `{value}` |"),
                format!("| `{section}.{key}` | {value} |"),
            ];
            assert!(
                contract.contains(&code) || contract.contains(&number),
                "{code}"
            );
        }
    }
}

fn any_parameter() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(Kind::ALL.map(Kind::as_str).to_vec());
    ("[a-z_-]{1,5}", kind, any::<bool>(), prop::option::of(-9i32..9), "[a-z]{0,3}").prop_map(
        |(name, kind, required, minimum, description)| {
            json!({"name": name, "type": kind, "required": required, "minimum": minimum, "description": description,
                "enum": minimum.map(|n| [n, n + 1]), "default": minimum})
        },
    )
}

proptest! {
    #[test]
    fn an_accepted_manifest_has_one_schema_and_survives_storage(declared in prop::collection::vec(any_parameter(), 0..6)) {
        let document = json!({"commands": [{"name": "run", "parameters": declared}]});
        let read = || Manifest::parse(&document).unwrap().into_tools("toy").0.remove(0);
        let tool = read();
        let stored: Tool = serde_json::from_str(&serde_json::to_string(&tool).unwrap()).unwrap();
        prop_assert_eq!(&stored, &tool);
        prop_assert_eq!(stored.input_schema().to_string(), read().input_schema().to_string());
    }

    #[test]
    fn no_document_makes_the_parser_fail_without_saying_why(text in "[\\[\\]{}:,\"a-z0-9]{0,40}") {
        let document = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if let Err(problems) = Manifest::parse(&document) {
            prop_assert!(!problems.is_empty());
        }
    }
}
