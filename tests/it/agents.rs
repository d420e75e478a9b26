//! Agents and their keys: added, let in, rotated and revoked, over every way in.

use std::fs;
use std::path::Path;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::http::{Events, Reply, Session, Transport, modern, request, send};
use crate::world::{Client, PATIENCE, World, eventually, failure_of, text};

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
async fn only_operators_have_a_say_about_agents() {
    let mut world = World::new();
    let _api = world.api();
    let key = added(&world, &["ada", "--group", "users"]);
    let ada = world.client_with_key(&key).await;
    for tool in [
        "agents__add",
        "agents__groups",
        "agents__list",
        "agents__revoke",
        "agents__rotate",
    ] {
        let arguments = if tool == "agents__list" {
            json!({})
        } else {
            json!({"name": "ada"})
        };
        let (code, _) = failure_of(&ada.call(tool, arguments).await);
        assert_eq!(code, "not_allowed", "{tool}");
    }
    let operator = fs::read_to_string(world.path("operator.key")).unwrap();
    let operator = world.client_with_key(operator.trim()).await;
    let failure = async |tool, arguments| failure_of(&operator.call(tool, arguments).await);
    let rows = [
        (
            "agents__add",
            json!({"name": "ada"}),
            "agent_exists",
            "There is an agent 'ada' already.",
        ),
        (
            "agents__add",
            json!({"name": "local"}),
            "invalid_arguments",
            "'local' is a name that SMCP uses itself.",
        ),
        (
            "agents__add",
            json!({"name": "worker:1"}),
            "invalid_arguments",
            "'worker:1' is no name: write 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or a digit first.",
        ),
        (
            "agents__add",
            json!({"name": "x", "groups": ["Ops"]}),
            "invalid_arguments",
            "'Ops' is no name: write 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or a digit first.",
        ),
        (
            "agents__rotate",
            json!({"name": "eve"}),
            "no_such_agent",
            "There is no agent 'eve' that somebody has added.",
        ),
        (
            "agents__revoke",
            json!({"name": "legacy"}),
            "built_in_agent",
            "Agent 'legacy' has no key in the database: its keys are in MCP_API_KEY and MCP_API_KEYS: change them there, and restart.",
        ),
        (
            "agents__revoke",
            json!({"name": "ada", "key": "1"}),
            "no_such_key",
            "Agent 'ada' has no key 1.",
        ),
        (
            "agents__groups",
            json!({"name": "operator", "remove": ["operators"]}),
            "operator_stays",
            "The agent operator is always in the group operators.",
        ),
        (
            "agents__groups",
            json!({"name": "ada", "add": ["a"], "remove": ["a"]}),
            "invalid_arguments",
            "Group 'a' is both in 'add' and in 'remove'.",
        ),
        (
            "agents__groups",
            json!({"name": "ada"}),
            "invalid_arguments",
            "Give either 'set', or 'add' and 'remove' or one of them.",
        ),
    ];
    for (tool, arguments, code, message) in rows {
        assert_eq!(
            failure(tool, arguments.clone()).await,
            (code.to_owned(), message.to_owned()),
            "{tool} {arguments}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agents_jobs_wait_no_longer_and_run_on_unless_stopped() {
    let (world, _roles) = World::running();
    for (name, stop) in [("ada", false), ("bob", true)] {
        let key = added(&world, &[name, "--group", "users"]);
        let client = world.client_with_key(&key).await;
        let gate = format!("{name}.go");
        let napping = nap(&client, &world, &gate).await;
        eventually("the first job runs", || {
            let job = world.smcp_json(&["jobs", "show", &napping]);
            (job["state"] == "running").then_some(())
        });
        let waiting = nap(&client, &world, &gate).await;
        let schedule = json!({"name": "s", "cron": "0 0 1 1 *", "tool": "demo_text__echo", "arguments": {"message": "x"}});
        client.json("schedules__create", schedule).await;
        let mut arguments = vec!["agents", "revoke", name];
        arguments.extend(stop.then_some("--stop"));
        let told = said(&world, &arguments);
        let stopped = if stop {
            "; 1 running job told to stop"
        } else {
            ""
        };
        assert_eq!(
            told,
            format!(
                "{name} is revoked; 1 key ended; 1 waiting job cancelled{stopped}; 1 schedule paused\n"
            )
        );
        let cancelled = world.smcp_json(&["jobs", "show", &waiting]);
        assert_eq!(cancelled["state"], "cancelled");
        assert_eq!(cancelled["cancel"]["reason"], "its agent was revoked");
        world.write_outside(&gate, "");
        let ended = eventually("what ran has ended", || {
            let job = world.smcp_json(&["jobs", "show", &napping]);
            (job["state"] != "running").then_some(job)
        });
        assert_eq!(ended["state"], if stop { "cancelled" } else { "succeeded" });
    }
    let refused = world.smcp(&["agents", "revoke", "ada"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(text(&refused.stderr), "error: Agent 'ada' was revoked.\n");
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

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_keys_and_groups() {
    let mut world = World::new();
    let _api = world.api();
    let new = world.smcp(&[
        "agents",
        "add",
        "ci",
        "--group",
        "users",
        "--group",
        "ops",
        "--max-running",
        "2",
    ]);
    let (key, told) = (text(&new.stdout), text(&new.stderr));
    assert_eq!(
        told,
        "added ci, in groups ops, users; its key, good until it is revoked:\n"
    );
    assert_eq!(
        (key.len(), key.lines().count()),
        (49, 1),
        "the key alone: {key}"
    );
    let groups =
        |arguments: &[&str]| said(&world, &[&["agents", "groups", "ci"], arguments].concat());
    assert_eq!(groups(&[]), "ci is in groups ops, users\n");
    assert_eq!(
        groups(&["--add", "a", "--remove", "ops"]),
        "ci is in groups a, users\n"
    );
    assert_eq!(groups(&["users"]), "ci is in group users\n");
    assert_eq!(groups(&["--remove", "users"]), "ci is in no group\n");
    let listed = said(&world, &["agents", "list"]);
    let lines: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0].join(" "),
        "AGENT GROUPS MAX RUNNING KEY BEGINS LAST USED EXPIRES"
    );
    assert_eq!(
        (&lines[1][..3], lines[1][4], &lines[1][5..]),
        (&["ci", "-", "2"][..], &key[..9], &["never", "never"][..])
    );
    assert_eq!(
        lines[3],
        ["local", "users", "-", "no", "key", "needed", "-", "-", "-"]
    );
    for wrong in [
        ["agents", "add", "Ci"].as_slice(),
        &["agents", "add", "operator"],
        &["agents", "add", "x", "--expires-in", "0s"],
        &["agents", "groups", "ci", "a", "--add", "b"],
        &["agents", "groups", "nobody"],
    ] {
        assert_eq!(world.smcp(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// Adds an agent, and answers its key.
pub(crate) fn added(world: &World, arguments: &[&str]) -> String {
    key(&world.smcp_json(&[&["agents", "add"], arguments].concat()))
}

fn rotated(world: &World, arguments: &[&str]) -> String {
    key(&world.smcp_json(&[&["agents", "rotate"], arguments].concat()))
}

fn key(answer: &Value) -> String {
    answer["key"].as_str().unwrap().to_owned()
}

/// What a command prints that succeeds.
pub(crate) fn said(world: &World, arguments: &[&str]) -> String {
    let output = world.smcp(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Submits a nap that lasts until a file is there.
async fn nap(client: &Client, world: &World, gate: &str) -> String {
    let until = world.outside(gate);
    let arguments = json!({"seconds": 600, "gate": until});
    client.submit("sleepy__nap", arguments).await
}

fn of<'a>(agents: &'a Value, name: &str) -> &'a Value {
    let mut agents = agents.as_array().unwrap().iter();
    agents.find(|agent| agent["name"] == name).unwrap()
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
