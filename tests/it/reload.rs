//! Plugins that are added, changed and removed while everything runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::world::{Client, World, failure_of, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_finds_what_was_added_changed_and_removed() {
    let world = World::new();
    let plugins = world.path("plugins");
    fs::create_dir(&plugins).unwrap();
    let mut world = world.with_plugins(plugins.display().to_string());
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    assert_eq!(reload(&client).await, (false, json!([])));

    let write = |name: &str, command: &str, answer: &str| {
        let directory = plugins.join(name);
        fs::create_dir_all(&directory).unwrap();
        let entry = directory.join("cli");
        let contract = json!({"commands": [{"name": command, "effect": "read_only"}]});
        fs::write(
            &entry,
            format!("#!/bin/sh\n[ \"$1\" = --describe ] && echo '{contract}' || echo '{answer}'\n"),
        )
        .unwrap();
        fs::set_permissions(entry, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("one", "say", "first");
    write("two", "say", "second");
    assert_eq!(
        reload(&client).await,
        (true, json!(["one__say", "two__say"]))
    );
    assert_eq!(
        reload(&client).await,
        (false, json!(["one__say", "two__say"]))
    );
    assert_eq!(text_of(&client.call("one__say", json!({})).await), "first");

    write("one", "tell", "changed");
    fs::remove_dir_all(plugins.join("two")).unwrap();
    write("three", "say", "third");
    assert_eq!(
        reload(&client).await,
        (true, json!(["one__tell", "three__say"]))
    );
    assert_eq!(
        text_of(&client.call("one__tell", json!({})).await),
        "changed"
    );
    assert_eq!(
        text_of(&client.call("three__say", json!({})).await),
        "third"
    );
    for gone in ["one__say", "two__say"] {
        assert_eq!(
            failure_of(&client.call(gone, json!({})).await).0,
            "unknown_tool"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_without_a_worker_says_so_and_the_known_tools_stay() {
    let (world, [_api, worker]) = World::running();
    worker.kill();
    let client = world.client().await;
    let refused = client
        .call("plugins__reload", json!({"timeout_s": 1}))
        .await;
    let (code, message) = failure_of(&refused);
    assert_eq!(code, "no_worker");
    assert!(message.contains("within 1 s"), "{message}");
    let tools = client.0.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "demo_text__echo"));
}

/// Whether something has changed, and the tools that there are.
async fn reload(client: &Client) -> (bool, Value) {
    let listing = client.json("plugins__reload", json!({})).await;
    let tools = listing["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|plugin| plugin["tools"].as_array().unwrap());
    let mut tools: Vec<_> = tools.map(|tool| tool.as_str().unwrap()).collect();
    tools.sort_unstable();
    let listed = client.0.list_all_tools().await.unwrap();
    for tool in &tools {
        assert!(
            listed.iter().any(|listed| listed.name == *tool),
            "{tool} is not listed"
        );
    }
    (listing["changed"].as_bool().unwrap(), json!(tools))
}
