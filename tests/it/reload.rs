//! `plugins__reload`: looking at the plugin directories at once, and at what is not watched.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::live::write_plugin;
use crate::world::{Client, World, failure_of, text, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_answers_with_what_is_there_now() {
    let world = World::new();
    let plugins = world.path("plugins");
    fs::create_dir(&plugins).unwrap();
    let mut world = world.with_plugins(plugins.display().to_string());
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    assert_eq!(reload(&client).await, (false, json!([])));

    write_plugin(&plugins, "one", "say", "first");
    write_plugin(&plugins, "two", "say", "second");
    assert_eq!(reload(&client).await.1, json!(["one__say", "two__say"]));
    assert_eq!(
        reload(&client).await,
        (false, json!(["one__say", "two__say"]))
    );

    write_plugin(&plugins, "one", "tell", "changed");
    fs::remove_dir_all(plugins.join("two")).unwrap();
    assert_eq!(reload(&client).await.1, json!(["one__tell"]));
    assert_eq!(
        text_of(&client.call("one__tell", json!({})).await),
        "changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_finds_another_interpreter() {
    let world = World::new();
    let plugin = world.path("plugins/one");
    fs::create_dir_all(&plugin).unwrap();
    let says = "print('{\"commands\": [{\"name\": \"say\"}]}')";
    fs::write(plugin.join("cli.py"), says).unwrap();
    let plugins = world.path("plugins").display().to_string();
    let mut world = world.with_plugins(plugins);
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    assert_eq!(reload(&client).await, (false, json!(["one__say"])));

    let asked = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .unwrap();
    fs::create_dir_all(plugin.join(".venv/bin")).unwrap();
    symlink(text(&asked.stdout).trim(), plugin.join(".venv/bin/python")).unwrap();
    assert_eq!(reload(&client).await, (true, json!(["one__say"])));
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
