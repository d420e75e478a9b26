//! `sanctum__tools`: which tools an agent keeps attached, the rows G1 to G9.

use std::fs;

use serde_json::{Value, json};

use crate::agents::added;
use crate::world::{Client, World, text, text_of};

/// The built-in tools that every agent may call.
const BUILT_IN: [&str; 32] = [
    "approvals__approve",
    "approvals__deny",
    "approvals__link",
    "approvals__list",
    "health",
    "jobs__cancel",
    "jobs__events",
    "jobs__get",
    "jobs__list",
    "jobs__output",
    "jobs__retry",
    "jobs__submit",
    "jobs__wait",
    "plugins__list",
    "plugins__reload",
    "queues__list",
    "sanctum__tools",
    "schedules__create",
    "schedules__delete",
    "schedules__get",
    "schedules__list",
    "schedules__pause",
    "schedules__preview",
    "schedules__resume",
    "schedules__trigger",
    "schedules__update",
    "settings__get",
    "workers__list",
    "workflows__cancel",
    "workflows__get",
    "workflows__list",
    "workflows__submit",
];
/// Those for operators alone.
const FOR_OPERATORS: [&str; 28] = [
    "agents__add",
    "agents__groups",
    "agents__list",
    "agents__revoke",
    "agents__rotate",
    "audit__export",
    "audit__search",
    "audit__tail",
    "audit__verify",
    "jobs__flush",
    "jobs__priority",
    "jobs__requeue_dead",
    "plugins__accept",
    "plugins__diff",
    "policy__check",
    "policy__explain",
    "policy__replay",
    "policy__show",
    "policy__test",
    "queues__pause",
    "queues__resume",
    "secrets__list",
    "secrets__remove",
    "secrets__rotate_key",
    "secrets__set",
    "settings__set",
    "workers__drain",
    "workers__scale",
];
const DEMO: [&str; 7] = [
    "demo_math__calculate",
    "demo_math__coin_flip",
    "demo_math__format_bytes",
    "demo_text__echo",
    "demo_text__hash_preview",
    "demo_text__slugify",
    "demo_text__word_count",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_listed_what_it_may_call_and_an_operator_all() {
    let (world, _roles) = bundled().started();
    assert_eq!(
        listed(&world.client().await).await,
        [&BUILT_IN[..], &DEMO].concat().sorted()
    );
    let key = std::fs::read_to_string(world.data().join("operator.key")).unwrap();
    let operator = world.client_with_key(key.trim()).await;
    assert_eq!(
        listed(&operator).await,
        [&BUILT_IN[..], &FOR_OPERATORS, &DEMO].concat().sorted()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_attaches_and_detaches_for_itself_and_for_good() {
    let mut world = bundled().with("MCP_API_KEY", "secret");
    let (api, _worker) = (world.api(), world.worker());
    world.wait_for_tools();
    let client = world.client().await;
    let governor = async |request: Value| client.json("sanctum__tools", request).await;

    // G1 and G2
    assert_eq!(
        listed(&client).await,
        [&BUILT_IN[..], &DEMO].concat().sorted()
    );
    assert_eq!(
        governor(json!({"action": "list-available"})).await,
        json!({"tools": DEMO})
    );
    let all = [&DEMO[..], &["sanctum__tools"]].concat();
    assert_eq!(
        governor(json!({"action": "list-attached"})).await,
        json!({"tools": all})
    );
    assert_eq!(
        governor(json!({"action": "list_attached"})).await,
        json!({"tools": all}),
        "G6, over the wire too"
    );

    // G3: unknown names are dropped, and the governor stays.
    let detached = governor(json!({"action": "detach", "tools": ["demo_math__coin_flip", "nope__nope", "sanctum__tools"], "tool": "demo_text__echo"})).await;
    assert_eq!(
        detached["detached"],
        json!(["demo_text__echo", "demo_math__coin_flip"])
    );
    let left: Vec<_> = all
        .iter()
        .filter(|tool| !["demo_math__coin_flip", "demo_text__echo"].contains(tool))
        .collect();
    assert_eq!(detached["attached_set"], json!(left));
    assert!(
        !listed(&client)
            .await
            .contains(&"demo_text__echo".to_owned())
    );

    // G8 and D13: a blocked call is an error, in the documented words.
    let blocked = client
        .call("demo_text__echo", json!({"message": "a"}))
        .await;
    assert_eq!(blocked.is_error, Some(true));
    let told: Value = serde_json::from_str(&text_of(&blocked)).unwrap();
    let attached: Vec<_> = left
        .iter()
        .filter(|tool| ***tool != "sanctum__tools")
        .collect();
    let hint = "Run sanctum__tools action=attach tool=demo_text__echo or action=attach-profile";
    assert_eq!(
        told,
        json!({"error": "tool_not_attached", "tool": "demo_text__echo", "hint": hint, "attached": attached})
    );
    let structured = blocked.structured_content.unwrap();
    assert_eq!(
        (&structured["error"]["code"], &structured["error"]["hint"]),
        (&json!("tool_not_attached"), &json!(hint))
    );
    let submitted = client
        .call(
            "jobs__submit",
            json!({"tool": "demo_text__echo", "arguments": {"message": "a"}}),
        )
        .await;
    assert_eq!(
        submitted.structured_content.unwrap()["error"]["code"],
        "tool_not_attached"
    );
    assert_eq!(world.smcp_json(&["jobs", "list"]), json!([]));

    // What one agent detaches, others keep.
    let other = world.client_with_key("secret").await;
    assert!(listed(&other).await.contains(&"demo_text__echo".to_owned()));

    // It survives a restart.
    drop(client);
    api.kill();
    let _api = world.api();
    let client = world.client().await;
    let governor = async |request: Value| client.json("sanctum__tools", request).await;
    assert_eq!(
        governor(json!({"action": "list-attached"})).await,
        json!({"tools": left})
    );
    let attached = governor(json!({"action": "attach", "tool": "demo_text__echo"})).await;
    assert_eq!(attached["attached"], json!(["demo_text__echo"]));
    assert_eq!(
        client
            .call("demo_text__echo", json!({"message": "a"}))
            .await
            .is_error,
        Some(false)
    );
    assert_eq!(
        governor(json!({"action": "attach-profile"})).await,
        json!({"profile": "full", "attached": all})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_fit_are_refused() {
    let mut world = bundled();
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    for (request, expected) in [
        (json!({}), "\"action\" is a required property"),
        (json!({"action": "destroy"}), "argument 'action'"),
        (
            json!({"action": "attach-profile", "profile": "nope"}),
            "There is no profile 'nope'; there are: full.",
        ),
        (
            json!({"action": "help", "more": 1}),
            "'more' was unexpected",
        ),
        (
            json!({"action": "attach", "tools": "demo_text__echo"}),
            "argument 'tools'",
        ),
    ] {
        let refused = client.call("sanctum__tools", request).await;
        assert_eq!(refused.is_error, Some(true));
        assert!(text_of(&refused).contains(expected), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_read_merged_and_applied() {
    let world = bundled();
    let directory = world.path("profiles");
    fs::create_dir(&directory).unwrap();
    let first = json!({
        "default_profile": "Math",
        "profiles": {
            "Math": {"mode": "prefix", "prefix": "demo_math__"},
            "counts": {"mode": "glob", "pattern": "*__*_count"},
            "chosen": {"mode": "all"},
        },
        "intent_hints": [{"intent": "count words", "tool": "demo_text__word_count", "needs": "text"}],
    });
    let second = json!({
        "profiles": {"chosen": {"mode": "explicit", "tools": ["demo_text__echo", "demo_math__coin_flip", "gone__tool"]}},
        "intent_hints": [{"intent": "toss", "tool": "demo_math__coin_flip"}],
    });
    fs::write(directory.join("a.json"), first.to_string()).unwrap();
    fs::write(directory.join("b.json"), second.to_string()).unwrap();
    let mut world = world
        .with("SMCP_PROFILES", directory.display().to_string())
        .with("SMCP_ADMIN_PREFIX", "demo_text__");
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    let governor = async |request: Value| client.json("sanctum__tools", request).await;

    let tools = client.0.list_all_tools().await.unwrap();
    let schema = json!(
        tools
            .iter()
            .find(|tool| tool.name == "sanctum__tools")
            .unwrap()
            .input_schema
    );
    assert_eq!(
        schema["properties"]["profile"]["enum"],
        json!(["admin", "chosen", "counts", "full", "math"])
    );
    let math = [
        "demo_math__calculate",
        "demo_math__coin_flip",
        "demo_math__format_bytes",
        "sanctum__tools",
    ];
    assert_eq!(
        governor(json!({"action": "list-attached"})).await,
        json!({"tools": math}),
        "the default profile"
    );
    for (profile, expected) in [
        ("COUNTS", vec!["demo_text__word_count", "sanctum__tools"]),
        (
            "chosen",
            vec!["demo_math__coin_flip", "demo_text__echo", "sanctum__tools"],
        ),
        (
            "admin",
            vec![
                "demo_text__echo",
                "demo_text__hash_preview",
                "demo_text__slugify",
                "demo_text__word_count",
                "sanctum__tools",
            ],
        ),
    ] {
        let applied = governor(json!({"action": "attach-profile", "profile": profile})).await;
        assert_eq!(applied, json!({"profile": profile, "attached": expected}));
        assert_eq!(
            governor(json!({"action": "list-attached"})).await,
            json!({"tools": expected})
        );
    }

    // G5
    let help = governor(json!({"action": "help", "intent": "WORD"})).await;
    assert_eq!(
        help["matches"],
        json!([{"intent": "count words", "tool": "demo_text__word_count", "needs": "text"}])
    );
    assert_eq!(
        help["note"],
        "Detached tools return attach hint on call. Use attach-profile with one of: admin, chosen, counts, full, math"
    );
    assert_eq!(
        governor(json!({"action": "help"})).await["matches"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_never_chose_has_the_profile_of_the_settings() {
    let mut world = bundled()
        .with("SMCP_PROFILES", "profiles.json")
        .with("SMCP_ATTACH_PROFILE", "COUNTS");
    let profiles = json!({
        "default_profile": "none",
        "profiles": {
            "counts": {"mode": "glob", "pattern": "**_count"},
            "none": {"mode": "explicit", "tools": []},
        },
    });
    fs::write(world.path("profiles.json"), profiles.to_string()).unwrap();
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let mut agents = Vec::new();
    for name in ["ada", "bob"] {
        let added = world.smcp_json(&["agents", "add", name, "--group", "users"]);
        agents.push(world.client_with_key(added["key"].as_str().unwrap()).await);
    }
    let [ada, bob] = &agents[..] else {
        panic!("there are two")
    };
    let listing = ada.0.list_all_tools().await.unwrap();
    let plugins: Vec<_> = listing
        .iter()
        .map(|tool| &*tool.name)
        .filter(|name| name.starts_with("demo_"))
        .collect();
    assert_eq!(plugins, ["demo_text__word_count"]);

    // G1, word by word but for the descriptions.
    let governor = listing.iter().find(|tool| tool.name == "sanctum__tools");
    let mut schema = json!(governor.unwrap().input_schema);
    for (_, property) in schema["properties"].as_object_mut().unwrap() {
        property.as_object_mut().unwrap().remove("description");
    }
    assert_eq!(
        schema,
        json!({
            "type": "object",
            "properties": {
                "action": {"type": "string", "enum": ["help", "list-available", "list-attached", "attach", "detach", "attach-profile"]},
                "tool": {"type": "string"},
                "tools": {"type": "array", "items": {"type": "string"}},
                "profile": {"type": "string", "enum": ["counts", "full", "none"]},
                "intent": {"type": "string"},
            },
            "required": ["action"],
            "additionalProperties": false,
        })
    );

    // G4: what is meant where no profile is named is the files' default, whatever an agent starts with.
    let none = ada
        .json("sanctum__tools", json!({"action": "attach-profile"}))
        .await;
    assert_eq!(
        none,
        json!({"profile": "none", "attached": ["sanctum__tools"]})
    );
    let blocked = ada
        .call("demo_text__word_count", json!({"text": "a"}))
        .await;
    assert_eq!(blocked.is_error, Some(true));
    assert_eq!(
        blocked.structured_content.unwrap()["error"]["attached"],
        json!([])
    );
    let others = bob
        .json("sanctum__tools", json!({"action": "list-attached"}))
        .await;
    assert_eq!(
        others,
        json!({"tools": ["demo_text__word_count", "sanctum__tools"]})
    );
}

#[test]
fn profiles_that_cannot_be_read_stop_the_start() {
    for (file, expected) in [
        ("{", "SMCP_PROFILES: profiles.json: "),
        ("[]", "SMCP_PROFILES: profiles.json: "),
        (
            r#"{"profiles": {"a": {"mode": "prefix"}}}"#,
            "profile 'a': mode 'prefix' needs 'prefix'",
        ),
        (
            r#"{"profiles": {"a": {"mode": "some"}}}"#,
            "profile 'a': mode 'some' is not one of all|prefix|glob|explicit",
        ),
    ] {
        let world = World::new().with("SMCP_PROFILES", "profiles.json");
        fs::write(world.path("profiles.json"), file).unwrap();
        let refused = world.smcp(&["api", "--port", "0"]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// A world with the plugins for demonstration only.
fn bundled() -> World {
    let world = World::new();
    let directory = world.path("demonstration");
    std::fs::create_dir(&directory).unwrap();
    for name in ["demo_math", "demo_text"] {
        let plugin = format!("{}/plugins/{name}", env!("CARGO_MANIFEST_DIR"));
        std::os::unix::fs::symlink(plugin, directory.join(name)).unwrap();
    }
    world.with_plugins(directory.display().to_string())
}

async fn listed(client: &Client) -> Vec<String> {
    let tools = client.0.list_all_tools().await.unwrap();
    tools.iter().map(|tool| tool.name.to_string()).collect()
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Vec<&str> {
    fn sorted(mut self) -> Self {
        self.sort_unstable();
        self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_attaches_what_no_rule_permits() {
    let (world, _roles) = bundled().started();
    let stranger = world.client_with_key(&added(&world, &["ada"])).await;
    let governor = async |request: Value| stranger.json("sanctum__tools", request).await;
    assert_eq!(
        governor(json!({"action": "list-available"})).await,
        json!({"tools": []})
    );
    let attach = json!({"action": "attach", "tool": "demo_math__calculate"});
    assert_eq!(
        governor(attach).await,
        json!({"attached": [], "attached_set": ["sanctum__tools"]})
    );
    let profile = json!({"action": "attach-profile", "profile": "full"});
    assert_eq!(
        governor(profile).await["attached"],
        json!(["sanctum__tools"])
    );
}
