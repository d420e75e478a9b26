//! `sanctum__tools`: which tools an agent keeps attached, the rows G1 to G9.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::agents::added;
use crate::world::{Client, World, text_of};

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
const FOR_OPERATORS: [&str; 29] = [
    "agents__add",
    "agents__groups",
    "agents__list",
    "agents__revoke",
    "agents__rotate",
    "agents__set",
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

/// A world with the bundled demonstration plugins only.
pub(crate) fn bundled() -> World {
    let world = World::new();
    let plugins = world.path("demonstration");
    fs::create_dir(&plugins).unwrap();
    for name in ["demo_math", "demo_text"] {
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        std::os::unix::fs::symlink(bundled.join(name), plugins.join(name)).unwrap();
    }
    world.with_plugins(plugins.display().to_string())
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
