//! `smcp up`: starts everything, keeps it running, and takes it down again.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::naps::Naps;
use crate::processes;
use crate::world::{World, eventually, signal, text, text_of};

#[test]
fn up_tells_where_to_connect_what_is_there_and_what_to_try() {
    let mut world = World::new();
    let (_up, said) = world.up(2);
    for expected in [
        format!("{}/mcp", world.url()),
        format!("{}/sse", world.url()),
        world.data().display().to_string(),
        "demo_math__calculate".to_owned(),
    ] {
        assert!(said.contains(&expected), "{expected} is missing: {said}");
    }
    let (_, first) = said.split_once("Try:").unwrap();
    let tried = Command::new("sh")
        .args(["-c", first.lines().next().unwrap()])
        .env_remove("SMCP_DATA_DIR")
        .output()
        .unwrap();
    assert!(tried.status.success(), "{first}: {}", text(&tried.stderr));
    assert!(text(&tried.stdout).contains('4'), "{}", text(&tried.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn up_replaces_a_worker_that_died() {
    let mut world = World::new();
    let (_up, _) = world.up(2);
    let (client, naps) = (world.client().await, Naps::of(&world));
    let mut calls = Vec::new();
    for (label, tool) in [("again", "sleepy__nap"), ("once", "sleepy2__once-nap")] {
        let (client, arguments) = (world.client().await, naps.until_open(label));
        calls.push(tokio::spawn(
            async move { client.call(tool, arguments).await },
        ));
    }
    let plugins = [naps.started("again"), naps.started("once")];
    let before = world.workers();
    assert_eq!(before.len(), 2);
    for worker in &before {
        signal(*worker, "KILL");
    }
    for plugin in plugins {
        plugin.wait_for_death();
    }
    naps.open();

    let [again, once] = calls.try_into().unwrap();
    let (again, once) = (again.await.unwrap(), once.await.unwrap());
    assert_eq!(again.is_error, Some(false), "{again:?}");
    assert!(text_of(&again).contains("\"label\": \"again\""));
    assert_eq!(
        once.structured_content.unwrap()["error"]["code"],
        "outcome_unknown"
    );
    assert_eq!(naps.told("once", "start").len(), 1);
    eventually("two other workers are there", || {
        let now = world.workers();
        (now.len() == 2 && now.iter().all(|worker| !before.contains(worker))).then_some(())
    });
    assert_eq!(client.json("health", json!({})).await["status"], "healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn up_replaces_an_api_that_died_at_the_same_address() {
    let mut world = World::new();
    let (up, _) = world.up(1);
    let naps = Naps::of(&world);
    let id = world
        .client()
        .await
        .submit("sleepy__nap", naps.until_open("n"))
        .await;
    naps.started("n");
    let workers = world.workers();
    let api = processes::children_of(up.pid())
        .into_iter()
        .find(|child| !workers.contains(child));
    signal(api.unwrap(), "KILL");
    eventually("the API is back", || {
        world
            .smcp(&["jobs", "show", &id])
            .status
            .success()
            .then_some(())
    });
    naps.open();
    assert_eq!(world.client().await.ended(&id).await["state"], "succeeded");
    assert_eq!(
        world.workers(),
        workers,
        "the worker has nothing to do with it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn up_lets_running_calls_end_and_be_answered() {
    let mut world = World::new().with("SMCP_LOG", "info");
    let (up, _) = world.up(2);
    let (client, naps) = (world.client().await, Naps::of(&world));
    let arguments = naps.until_open("n");
    let call = tokio::spawn(async move { client.call("sleepy__nap", arguments).await });
    naps.started("n");
    up.terminate();
    // `up` and both workers; the API has to wait for these.
    world.wait_for_log("what has begun is finished first", 3);
    naps.open();
    let answer = call.await.unwrap();
    assert_eq!(answer.is_error, Some(false), "{answer:?}");
    assert_eq!(up.wait(), Some(0));
    assert!(processes::of(world.data()).is_empty());
    assert!(world.worker_directories().is_empty());
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_processes_of_up_write_one_log_file() {
    let world = World::new().with("SMCP_LOG", "info");
    let log = world.path("logs/server.log");
    let mut world = world.with("MCP_LOG_FILE", log.to_str().unwrap());
    let (up, _) = world.up(1);
    let client = world.client().await;
    let answer = client.call("demo_text__echo", json!({"message": "mum"}));
    assert_eq!(answer.await.is_error, Some(false));
    up.terminate();
    assert_eq!(up.wait(), Some(0));
    let text = fs::read_to_string(&log).unwrap();
    for of_each in ["API started", "attempt ended"] {
        assert!(text.contains(of_each), "{of_each} is not in {text}");
    }
    assert!(!text.contains("mum"), "arguments are not logged: {text}");
    assert!(!text.contains('\u{1b}'), "nor colours");
}

#[test]
fn the_children_of_a_killed_up_go() {
    let mut world = World::new();
    let (up, _) = world.up(2);
    let children = processes::children_of(up.pid());
    assert_eq!(children.len(), 3);
    up.kill();
    for child in children {
        eventually("a child of up has ended", || {
            (!processes::is_running(child)).then_some(())
        });
    }
    assert!(world.worker_directories().is_empty());
    assert!(world.workers().is_empty());
}

#[test]
fn a_second_up_leaves_the_first_alone() {
    let mut world = World::new();
    let (up, _) = world.up(1);
    let before = processes::children_of(up.pid());
    let second = world.smcp(&["up", "--port", "0"]);
    assert_eq!(second.status.code(), Some(1));
    let called = world.smcp(&["call", "demo_math__calculate", "expression=2+2"]);
    assert!(called.status.success(), "{}", text(&called.stderr));
    assert_eq!(processes::children_of(up.pid()), before);
}
