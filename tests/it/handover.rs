//! Callers who cannot wait for as long as a job takes: answers before their patience ends, tasks, and callers who leave.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::http::{Session, TRANSPORTS, modern, send};
use crate::world::{Role, World, eventually};

/// A world whose callers are impatient.
fn impatient() -> (World, [Role; 2]) {
    let world = World::new();
    let settings = "[calls]\ntask_after_s = 0.2\nwait_s = 0.3\n";
    world.configure(settings);
    world.started()
}

fn tasks() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

/// The newest job, once it has ended.
fn ended(world: &World) -> Value {
    eventually("the job has ended", || {
        let jobs = world.smcp_json(&["jobs", "list", "--limit", "1"]);
        (!jobs[0]["finished_at"].is_null()).then(|| jobs[0].clone())
    })
}

#[tokio::test]
async fn whoever_has_waited_long_enough_is_told_the_job() {
    let (world, _roles) = impatient();
    for transport in TRANSPORTS {
        let gate = world.outside(&format!("{transport:?}"));
        let nap = json!({"seconds": 60, "gate": gate});
        let mut session = Session::open(&world, transport).await;
        let answer = session.call("sleepy__nap", nap.clone()).await;
        assert_ne!(answer["isError"], true, "{answer}");
        assert_eq!(answer["_meta"]["smcp/pending"], true);
        let id = answer["_meta"]["smcp/job"].as_str().unwrap();
        assert_eq!(answer["structuredContent"]["job"]["id"], id);
        let text = answer["content"][0]["text"].as_str().unwrap();
        for word in [id, "jobs__wait", "jobs__get", "jobs__cancel"] {
            assert!(text.contains(word), "{text}");
        }

        // What a tool promises to return it cannot return yet, and clients would notice.
        let held = session.call("sleepy2__held-nap", nap).await;
        assert_eq!(held["isError"], true, "{held}");
        assert_eq!(held["structuredContent"]["error"]["code"], "still_running");

        fs::write(gate, "").unwrap();
        for answer in [&answer, &held] {
            let id = json!({"id": answer["_meta"]["smcp/job"], "timeout_s": 60});
            let job = session.call("jobs__wait", id).await;
            assert_eq!(job["structuredContent"]["state"], "succeeded", "{job}");
        }
    }
}

#[tokio::test]
async fn the_command_line_waits_on() {
    let (world, _roles) = impatient();
    let output = world.smcp(&["call", "sleepy__nap", "seconds=1", "label=late"]);
    assert!(output.status.success(), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["label"], "late");
    let jobs = world.smcp_json(&["jobs", "list"]);
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
}

#[tokio::test]
async fn a_tool_that_never_stops_talking_is_handed_over_as_well() {
    let (world, _roles) = impatient();
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        let endless = json!({"count": 100_000_000, "seconds": 0});
        let answer = session.call("sleepy__steps", endless).await;
        assert_eq!(answer["_meta"]["smcp/pending"], true, "{answer}");
        let id = json!({"id": answer["_meta"]["smcp/job"]});
        session.call("jobs__cancel", id).await;
        assert_eq!(ended(&world)["state"], "cancelled");
    }
}

#[test]
fn the_command_line_outlives_the_api() {
    let mut world = World::new();
    let api = world.api();
    let _worker = world.worker();
    world.wait_for_tools();
    let (gate, journal) = (world.outside("gate"), world.outside("journal"));
    let arguments = [
        format!("gate={}", gate.display()),
        format!("journal={}", journal.display()),
    ];
    let mut command = world.command(&["call", "sleepy__nap", "seconds=60", "label=kept"]);
    command.args(arguments).stdout(Stdio::piped());
    let call = command.spawn().unwrap();
    eventually("the plugin has begun", || journal.exists().then_some(()));
    api.kill();
    let _again = world.api();
    fs::write(gate, "").unwrap();
    let output = call.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["label"], "kept");
}

#[tokio::test]
async fn a_long_call_becomes_a_task_for_a_client_that_knows_them() {
    let (world, _roles) = impatient();
    let gate = world.outside("gate");
    let nap = json!({"name": "sleepy__nap", "arguments": {"seconds": 60, "gate": gate}});
    let call = |capabilities: &Value| {
        let params = nap.clone();
        modern(
            &world,
            "tools/call",
            Some("sleepy__nap"),
            params,
            capabilities,
        )
    };
    let created = send(call(&tasks())).await.json();
    let task = &created["result"];
    assert_eq!(
        (&task["resultType"], &task["status"]),
        (&json!("task"), &json!("working"))
    );
    assert!(
        task["ttlMs"] == 30_u64 * 24 * 60 * 60 * 1_000 && task["pollIntervalMs"].is_u64(),
        "{task}"
    );
    let id = task["taskId"].as_str().unwrap();
    let ask = async |method: &str, id: &str, capabilities: &Value| {
        let params = match method {
            "tasks/update" => json!({"taskId": id, "inputResponses": {}}),
            _ => json!({"taskId": id}),
        };
        send(modern(&world, method, Some(id), params, capabilities))
            .await
            .json()
    };
    let working = ask("tasks/get", id, &tasks()).await;
    assert_eq!(working["result"]["status"], "working", "{working}");
    assert_eq!(working["result"]["resultType"], "complete");
    let updated = ask("tasks/update", id, &tasks()).await;
    assert_eq!(updated["result"]["resultType"], "complete", "{updated}");
    let undeclared = ask("tasks/get", id, &json!({})).await;
    assert_eq!(undeclared["error"]["code"], -32021, "{undeclared}");
    for unknown in ["none", "019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55"] {
        let unknown = ask("tasks/get", unknown, &tasks()).await;
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    }
    fs::write(&gate, "").unwrap();
    ended(&world);
    let completed = ask("tasks/get", id, &tasks()).await;
    assert_eq!(completed["result"]["status"], "completed", "{completed}");
    let result = &completed["result"]["result"];
    assert_eq!(result["_meta"]["smcp/job"], id);
    assert!(result["content"][0]["text"].is_string());

    fs::remove_file(&gate).unwrap();
    let created = send(call(&tasks())).await.json();
    let id = created["result"]["taskId"].as_str().unwrap();
    let cancelled = ask("tasks/cancel", id, &tasks()).await;
    assert_eq!(cancelled["result"]["resultType"], "complete");
    ended(&world);
    let cancelled = ask("tasks/get", id, &tasks()).await;
    assert_eq!(cancelled["result"]["status"], "cancelled", "{cancelled}");
    let again = ask("tasks/cancel", id, &tasks()).await;
    assert!(again["error"].is_null(), "{again}");

    let job = send(call(&json!({}))).await.json();
    let job = &job["result"];
    assert_eq!(job["_meta"]["smcp/pending"], true, "without tasks: {job}");
    fs::write(&gate, "").unwrap();
    ended(&world);
}

#[tokio::test]
async fn a_short_call_is_answered_at_once_although_its_client_knows_tasks() {
    let world = World::new();
    world.configure("[calls]\ntask_after_s = 60\n");
    let (world, _roles) = world.started();
    let params = json!({"name": "sleepy__nap", "arguments": {"seconds": 0}});
    let call = modern(&world, "tools/call", Some("sleepy__nap"), params, &tasks());
    let answer = send(call).await.json();
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}

#[tokio::test]
async fn a_task_is_its_agents_alone() {
    let world = World::new().with("MCP_API_KEYS", "one");
    let settings = "[calls]\ntask_after_s = 0.05\n";
    world.configure(settings);
    let (world, _roles) = world.started();
    let gate = world.outside("gate");
    let params = json!({"name": "sleepy__nap", "arguments": {"seconds": 60, "gate": gate}});
    let call = modern(&world, "tools/call", Some("sleepy__nap"), params, &tasks());
    let created = send(call).await.json();
    let id = created["result"]["taskId"].as_str().unwrap();
    for method in ["tasks/get", "tasks/cancel"] {
        let params = json!({"taskId": id});
        let foreign = modern(&world, method, Some(id), params, &tasks()).bearer_auth("one");
        let foreign = send(foreign).await.json();
        assert_eq!(foreign["error"]["code"], -32602, "{foreign}");
    }
    fs::write(gate, "").unwrap();
    assert_eq!(ended(&world)["state"], "succeeded");
}

#[tokio::test]
async fn a_caller_that_leaves_stops_only_what_wants_to_be_stopped() {
    let (world, _roles) = World::running();
    for (tool, expected) in [
        ("sleepy__nap", "succeeded"),
        ("sleepy__held-nap", "cancelled"),
    ] {
        let (gate, journal) = (world.outside("gate"), world.outside(tool));
        let arguments = json!({"seconds": 60, "gate": gate, "journal": journal});
        let params = json!({"name": tool, "arguments": arguments});
        let call = modern(&world, "tools/call", Some(tool), params, &json!({}));
        let call = tokio::spawn(send(call));
        tokio::task::spawn_blocking(move || {
            eventually("the plugin has begun", || journal.exists().then_some(()));
        })
        .await
        .unwrap();
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        if expected == "succeeded" {
            fs::write(&gate, "").unwrap();
        }
        let job = ended(&world);
        assert_eq!(
            (&job["tool"], &job["state"]),
            (&json!(tool), &json!(expected))
        );
        if expected == "succeeded" {
            fs::remove_file(&gate).unwrap();
        } else {
            assert_eq!(job["cancel"]["reason"], "its caller has gone");
        }
    }
}
