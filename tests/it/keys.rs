//! The keys of agents: let in, rotated and revoked, by every way in, and kept nowhere.

use std::fs;
use std::path::Path;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::agents::{added, key, of, said};
use crate::http::{Events, Reply, Session, Transport, modern, request, send};
use crate::world::{PATIENCE, World, eventually, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lets_its_agent_in_by_every_way_as_long_as_it_lives() {
    let mut world = World::new();
    let _api = world.api();
    let revoked = added(&world, &["ada"]);
    let short = added(&world, &["bob", "--expires-in", "1s"]);
    let good = added(&world, &["eve"]);
    let ada = world.client_with_key(&revoked).await;
    let session = Session::open_as(&world, Transport::StreamableHttp, Some(&revoked)).await;
    for key in [&revoked, &good] {
        assert_eq!(statuses(&world, key).await, [200, 200, 404]);
    }
    let ping = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
    assert_eq!(session.post(ping).await.status, 200);

    assert_eq!(
        said(&world, &["agents", "revoke", "ada"]),
        "ada is revoked; 1 key ended\n"
    );
    // What is open is over at once, too.
    refused(&session.post(ping).await);
    assert!(ada.0.list_all_tools().await.is_err());
    eventually("the key has expired", || {
        let agents = world.smcp_json(&["agents", "list"]);
        let bob = of(&agents, "bob");
        (bob["keys"][0]["live"] == false).then_some(())
    });
    // No key has a character outside of the alphabet in it, so this is never the good one.
    let unknown = format!("{}-", &good[..good.len() - 1]);
    for key in [&revoked, &short, &unknown, "smcp_"] {
        for request in ways(&world, key) {
            refused(&send(request).await);
        }
    }
    assert_eq!(statuses(&world, &good).await, [200, 200, 404]);

    // Another one of that name has neither the key nor the session of the first.
    let again = added(&world, &["ada"]);
    let post = request(Method::POST, &format!("{}/mcp", world.url()))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-session-id", session.id());
    assert_eq!(send(post.bearer_auth(&again).body(ping)).await.status, 404);
    refused(&session.post(ping).await);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_end_with_the_key_that_opened_them() {
    let (world, _roles) = World::running();
    let _second = world.worker();
    let key = added(&world, &["ada", "--group", "users"]);
    let call = json!({
        "name": "sleepy__steps",
        "arguments": {"count": 100_000, "seconds": 0.01},
        "_meta": {"progressToken": "p"},
    });

    // The stream of a call at /mcp, the session's own, and the one of a call without a session.
    let session = Session::open_as(&world, Transport::StreamableHttp, Some(&key)).await;
    let body = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": call});
    let called = session.request().body(body.to_string()).send();
    let mut called = Events::of(called.await.unwrap());
    let own = request(Method::GET, &format!("{}/mcp", world.url()))
        .header("accept", "text/event-stream")
        .header("mcp-session-id", session.id());
    let mut own = Events::of(own.bearer_auth(&key).send().await.unwrap());
    let mut elsewhere = call.clone();
    elsewhere["name"] = json!("sleepy2__steps");
    let unbound = modern(
        &world,
        "tools/call",
        Some("sleepy2__steps"),
        elsewhere,
        &json!({}),
    );
    let mut unbound = Events::of(unbound.bearer_auth(&key).send().await.unwrap());

    // The one at /sse.
    let opened = request(Method::GET, &format!("{}/sse", world.url()));
    let mut legacy = Events::of(opened.bearer_auth(&key).send().await.unwrap());
    let endpoint = format!("{}{}", world.url(), legacy.next().await);
    let post = async |body: Value| {
        let post = request(Method::POST, &endpoint).bearer_auth(&key);
        let post = post.header("content-type", "application/json");
        send(post.body(body.to_string())).await
    };
    let initialize = json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    for body in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
    ] {
        assert_eq!(post(body).await.status, 202);
    }
    assert!(legacy.next().await.contains("serverInfo"));

    for stream in [&mut called, &mut unbound] {
        assert!(stream.next().await.contains("notifications/progress"));
    }
    said(&world, &["agents", "revoke", "ada"]);
    let ended = async {
        for stream in [&mut called, &mut own, &mut unbound, &mut legacy] {
            // What was on its way already may still arrive.
            while let Some(message) = stream.next_or_end().await {
                assert!(!message.contains("\"result\""), "{message}");
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    refused(&post(json!({"jsonrpc": "2.0", "id": 2, "method": "ping"})).await);
    let running = world.smcp_json(&["jobs", "list", "--state", "running"]);
    assert_eq!(
        running.as_array().unwrap().len(),
        2,
        "they go on: {running}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_is_good_for_the_overlap_and_no_longer() {
    let mut world = World::new();
    let _api = world.api();
    let first = added(&world, &["ada"]);
    let second = rotated(&world, &["ada"]);
    for key in [&first, &second] {
        assert_eq!(statuses(&world, key).await, [200, 200, 404]);
    }
    let third = rotated(&world, &["ada", "--overlap", "0s"]);
    for key in [&first, &second] {
        refused(&send(ways(&world, key).remove(0)).await);
    }
    let fourth = rotated(&world, &["ada", "--overlap", "1s", "--expires-in", "1d"]);
    eventually("the overlap has passed", || {
        let agents = world.smcp_json(&["agents", "list"]);
        let keys = of(&agents, "ada")["keys"].as_array().unwrap().clone();
        (keys.iter().filter(|key| key["live"] == true).count() == 1).then_some(())
    });
    refused(&send(ways(&world, &third).remove(0)).await);
    assert_eq!(statuses(&world, &fourth).await, [200, 200, 404]);
    // One key of several.
    let fifth = rotated(&world, &["ada"]);
    let agents = world.smcp_json(&["agents", "list"]);
    let keys = of(&agents, "ada")["keys"].as_array().unwrap().clone();
    let begins =
        |key: &Value| key["live"] == true && fourth.starts_with(key["prefix"].as_str().unwrap());
    let id = keys.iter().find(|key| begins(key)).unwrap()["id"]
        .as_str()
        .unwrap();
    assert_eq!(
        said(&world, &["agents", "revoke", "ada", "--key", id]),
        format!("key {id} of ada is revoked\n")
    );
    refused(&send(ways(&world, &fourth).remove(0)).await);
    assert_eq!(statuses(&world, &fifth).await, [200, 200, 404]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_told_once_and_is_nowhere_else() {
    let mut world = World::new().with("SMCP_LOG", "debug");
    let _api = world.api();
    let operator = fs::read_to_string(world.path("operator.key")).unwrap();
    let mut keys = vec![
        added(&world, &["ada", "--group", "users"]),
        rotated(&world, &["ada"]),
    ];
    // By hand, so as to lose the answer and come back for it.
    let session = Session::open_as(&world, Transport::StreamableHttp, Some(operator.trim())).await;
    let call = json!({"name": "agents__add", "arguments": {"name": "bob"}});
    let body = json!({"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": call});
    let reply = session.post(body.to_string()).await;
    let key = reply.json()["result"]["structuredContent"]["key"].clone();
    keys.push(key.as_str().unwrap().to_owned());
    let receipt = reply.body.lines().find_map(|line| line.strip_prefix("id:"));
    let back = request(Method::GET, &format!("{}/mcp", world.url()))
        .header("accept", "text/event-stream")
        .header("mcp-session-id", session.id())
        .header("last-event-id", receipt.unwrap().trim());
    let back = send(back.bearer_auth(operator.trim())).await.json();
    let error = &back["result"]["structuredContent"]["error"];
    assert_eq!(
        (&back["id"], &error["code"]),
        (&json!(77), &json!("told_once"))
    );

    for key in &keys {
        assert_eq!(statuses(&world, key).await, [200, 200, 404]);
    }
    eventually("the uses are noted", || {
        let agents = world.smcp_json(&["agents", "list"]);
        let keys = ["ada", "bob"].map(|name| of(&agents, name)["keys"].clone());
        let mut keys = keys.iter().flat_map(|keys| keys.as_array().unwrap());
        keys.all(|key| key["last_used_at"].is_i64()).then_some(())
    });
    let shown = said(&world, &["agents", "list"]) + &said(&world, &["agents", "list", "--json"]);
    for key in &keys {
        assert!(key.starts_with("smcp_") && key.len() == 48, "{key}");
        assert!(!shown.contains(key.as_str()));
        let found = holding(world.data(), key.as_bytes());
        assert_eq!(found, Vec::<String>::new());
    }
    assert!(
        !holding(world.data(), operator.trim().as_bytes()).is_empty(),
        "the search finds"
    );
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_agent_is_enough_to_listen_to_the_outside() {
    let mut world = World::new();
    let api = world.api();
    // An address that this machine does not have: what is refused, is refused before.
    let elsewhere = ["api", "--port", "0", "--host", "192.0.2.1"];
    assert_eq!(world.smcp(&elsewhere).status.code(), Some(2));
    added(&world, &["ada"]);
    let failed = world.smcp(&elsewhere);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    assert!(text(&failed.stderr).contains("cannot listen"));
    said(&world, &["agents", "revoke", "ada"]);
    assert_eq!(world.smcp(&elsewhere).status.code(), Some(2));
    drop(api);
}

fn rotated(world: &World, arguments: &[&str]) -> String {
    key(&world.smcp_json(&[&["agents", "rotate"], arguments].concat()))
}

/// A request by each way in.
fn ways(world: &World, key: &str) -> Vec<RequestBuilder> {
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let at = |method, path| request(method, &format!("{}{path}", world.url())).bearer_auth(key);
    let mcp = at(Method::POST, "/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(initialize.to_string());
    vec![mcp, at(Method::GET, "/sse"), at(Method::GET, "/elsewhere")]
}

async fn statuses(world: &World, key: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for request in ways(world, key) {
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    statuses
}

fn refused(reply: &Reply) {
    assert_eq!(
        (reply.status, &*reply.body),
        (401, r#"{"error":"unauthorized"}"#)
    );
}

/// The files below a directory in which some bytes stand.
fn holding(directory: &Path, what: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, what));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(what.len()).any(|part| part == what))
        {
            found.push(path.display().to_string());
        }
    }
    found
}
