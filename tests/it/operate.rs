//! What operators do to the queue and to many jobs, and how those who wait are told why.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::naps::Naps;
use crate::world::{Client, Role, World, eventually, failure_of, signal, text};

const OK: i32 = 0;
const FAILURE: i32 = 1;
const REFUSED: i32 = 2;

/// Runs the command, and answers its exit code and what it printed on both streams.
fn run(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let output = world.smcp(arguments);
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

/// Runs the command, which must succeed, and answers what it printed.
fn said(world: &World, arguments: &[&str]) -> String {
    let (code, out, err) = run(world, arguments);
    assert_eq!(code, OK, "{arguments:?}: {out}{err}");
    out
}

fn state(world: &World, id: &str) -> Value {
    world.smcp_json(&["jobs", "show", id])["state"].clone()
}

/// Submits naps that end at once, and answers their ids.
async fn naps(client: &Client, tool: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(client.submit(tool, json!({"seconds": 0})).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_lane_waits_for_its_resumption_whoever_restarts() {
    let mut world = World::new();
    let (api, worker, _second) = (world.api(), world.worker(), world.worker());
    world.wait_for_tools();
    let client = world.client().await;
    let pause = [
        "queues",
        "pause",
        "--lane",
        "sleepy",
        "--reason",
        "maintenance",
    ];
    assert_eq!(
        said(&world, &pause),
        "lane 'sleepy' is paused; 0 wait, 0 still run\n"
    );
    let again = said(&world, &pause);
    assert!(
        again.starts_with("nothing has changed: lane 'sleepy' was paused by operator"),
        "{again}"
    );

    let waits = client.submit("sleepy__nap", json!({"seconds": 0})).await;
    let runs = client.submit("sleepy2__nap", json!({"seconds": 0})).await;
    assert_eq!(client.ended(&runs).await["state"], "succeeded");
    let shown = said(&world, &["jobs", "show", &waits]);
    let why = "waits      Lane 'sleepy' was paused by operator just now: maintenance.\n";
    assert!(shown.contains(why), "{shown}");
    let job = client.json("jobs__get", json!({"id": waits})).await;
    let reason = &job["waiting"][0];
    assert_eq!(
        (
            &reason["code"],
            &reason["scope"],
            &reason["name"],
            &reason["by"]
        ),
        (
            &json!("paused"),
            &json!("lane"),
            &json!("sleepy"),
            &json!("operator")
        )
    );
    let (_, _, warned) = run(&world, &["jobs", "list"]);
    assert!(
        warned.starts_with("warning: lane 'sleepy' was paused"),
        "{warned}"
    );
    let (_, _, warned) = run(&world, &["call", "sleepy__nap", "seconds=0", "--detach"]);
    assert!(
        warned.starts_with("warning: Lane 'sleepy' was paused"),
        "{warned}"
    );
    let listed = said(&world, &["queues", "list"]);
    assert!(listed.contains("maintenance (2 wait)"), "{listed}");
    let health = client.json("health", json!({})).await;
    assert_eq!(health["pauses"][0]["name"], "sleepy");

    drop(client);
    api.kill();
    worker.kill();
    let (_api, _worker) = (world.api(), world.worker());
    let queues = world.smcp_json(&["queues", "list"]);
    assert_eq!(queues["pauses"][0]["reason"], "maintenance");
    assert_eq!(queues["queues"][0]["queued"], 2, "{queues}");
    assert_eq!(state(&world, &waits), "queued");
    let resume = ["queues", "resume", "--lane", "sleepy"];
    assert_eq!(
        said(&world, &resume),
        "lane 'sleepy' is not paused any more\n"
    );
    assert_eq!(said(&world, &["jobs", "wait", &waits]), "succeeded\n");
    assert!(said(&world, &resume).starts_with("nothing has changed"));
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_soon_what_keeps_its_job_back() {
    let (world, _roles) = World::running();
    said(
        &world,
        &[
            "queues",
            "pause",
            "--plugin",
            "sleepy",
            "--reason",
            "maintenance",
        ],
    );
    let mut call = world.command(&["call", "sleepy__nap", "seconds=0", "label=told"]);
    let mut call = call
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(call.stderr.take().unwrap()).lines();
    let line = lines.next().expect("a sign of life").unwrap();
    assert!(
        line.contains("waits: plugin 'sleepy' was paused by operator"),
        "{line}"
    );
    said(&world, &["queues", "resume", "--plugin", "sleepy"]);
    let output = call.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("told"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_handed_a_job_is_told_why_it_waits() {
    let world = World::new();
    world.configure("[calls]\nwait_with_progress_s = 0.2\n");
    let (world, [_api, worker]) = world.started();
    let client = world.client().await;
    said(
        &world,
        &["queues", "pause", "--all", "--reason", "maintenance"],
    );
    let nap = || json!({"seconds": 0});
    let answer = client.call("sleepy__nap", nap()).await;
    let content = answer.structured_content.unwrap();
    assert_eq!(content["job"]["waiting"][0]["code"], "paused", "{content}");
    let words = answer.content[0].as_text().unwrap().text.clone();
    assert!(
        words.contains("It waits: the whole queue was paused by operator"),
        "{words}"
    );
    said(&world, &["queues", "resume", "--all"]);
    client.ended(content["job"]["id"].as_str().unwrap()).await;

    worker.terminate();
    assert_eq!(worker.wait(), Some(OK));
    let answer = client.call("sleepy__nap", nap()).await;
    let content = answer.structured_content.unwrap();
    let reason = &content["job"]["waiting"][0];
    assert_eq!(reason["code"], "no_worker", "{content}");
    assert!(reason["message"].as_str().unwrap().contains("smcp worker"));
    let id = content["job"]["id"].as_str().unwrap();
    let waited = client
        .json("jobs__wait", json!({"id": id, "timeout_s": 0}))
        .await;
    assert_eq!(waited["waiting"][0]["code"], "no_worker", "{waited}");
    let shown = said(&world, &["jobs", "show", id]);
    assert!(shown.contains("waits      No worker is alive"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_what_runs_and_leaves_the_pause() {
    let (world, _roles) = World::running();
    let _second = world.worker();
    let (client, naps) = (world.client().await, Naps::of(&world));
    let running = client.submit("sleepy__nap", naps.until_open("runs")).await;
    naps.started("runs");
    let waits = client
        .submit("sleepy__nap", naps.lasting(0.0, "waits"))
        .await;

    let drain = |scope: &[&str]| {
        let mut command = world.command(&[&["queues", "drain"], scope].concat());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut drain = command.spawn().unwrap();
        let mut lines = BufReader::new(drain.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        (drain, first, lines)
    };
    let (interrupted, first, _) = drain(&["--plugin", "sleepy"]);
    assert_eq!(first, "plugin 'sleepy' is paused; 1 wait, 1 still run");
    signal(interrupted.id(), "INT");
    let output = interrupted.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(FAILURE));
    let why = "plugin 'sleepy' stays paused: smcp queues resume ends that";
    assert!(text(&output.stderr).contains(why), "{output:?}");

    let (drained, first, mut rest) = drain(&["--plugin", "sleepy"]);
    assert!(first.starts_with("nothing has changed"), "{first}");
    naps.open();
    let last = rest.next().unwrap().unwrap();
    assert_eq!(last, "nothing of plugin 'sleepy' runs any more");
    assert!(drained.wait_with_output().unwrap().status.success());
    assert_eq!(state(&world, &running), "succeeded");
    assert_eq!(state(&world, &waits), "queued");
    said(&world, &["queues", "resume", "--plugin", "sleepy"]);
    assert_eq!(client.ended(&waits).await["state"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_says_what_it_would_do_and_wants_to_be_confirmed() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    said(&world, &["queues", "pause", "--all"]);
    let many = naps(&client, "sleepy__nap", 120).await;
    let other = naps(&client, "sleepy2__nap", 1).await;

    let (code, out, err) = run(&world, &["jobs", "flush", "--tool", "sleepy__*"]);
    assert_eq!(code, REFUSED);
    assert_eq!(out, "120 jobs would be cancelled\n  120 of sleepy__nap\n");
    assert!(
        err.contains("nothing has been done; add --confirm"),
        "{err}"
    );
    let plan = world.smcp_json(&["jobs", "flush", "--dry-run", "--older-than", "1h"]);
    assert_eq!(
        (&plan["matched"], &plan["would"]),
        (&json!(0), &json!("cancel"))
    );
    assert_eq!(state(&world, &many[0]), "queued");

    let flush = [
        "jobs",
        "flush",
        "--tool",
        "sleepy__*",
        "--confirm",
        "--reason",
        "too many",
    ];
    assert_eq!(
        said(&world, &flush),
        "120 jobs cancelled\n  120 of sleepy__nap\n"
    );
    let job = world.smcp_json(&["jobs", "show", &many[119]]);
    assert_eq!(
        (
            &job["state"],
            &job["cancel"]["by"],
            &job["cancel"]["reason"]
        ),
        (&json!("cancelled"), &json!("operator"), &json!("too many"))
    );
    assert_eq!(state(&world, &other[0]), "queued");
    let delete = [
        "jobs",
        "flush",
        "--state",
        "cancelled",
        "--limit",
        "100",
        "--confirm",
    ];
    let deleted = said(&world, &delete);
    assert!(
        deleted.starts_with("100 jobs deleted\n") && deleted.contains("there are more"),
        "{deleted}"
    );
    assert_eq!(
        world.smcp_json(&["jobs", "list"]).as_array().unwrap().len(),
        21
    );
    for nonsense in [
        &["jobs", "flush", "--state", "running", "--confirm"][..],
        &["jobs", "flush", "--limit", "0"],
        &["queues", "pause"],
        &["queues", "pause", "--all", "--lane", "a"],
    ] {
        let (code, _, err) = run(&world, nonsense);
        assert_ne!(code, OK, "{nonsense:?}: {err}");
    }
    said(&world, &["queues", "resume", "--all"]);
    client.ended(&other[0]).await;
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_run_again_one_or_many() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let mut failed = Vec::new();
    for _ in 0..3 {
        let id = client.submit("awkward__silent-fail", json!({})).await;
        assert_eq!(client.ended(&id).await["state"], "failed");
        failed.push(id);
    }
    let done = client.submit("demo_math__coin_flip", json!({})).await;
    client.ended(&done).await;

    // An agent its own …
    let retried = client.json("jobs__retry", json!({"id": failed[0]})).await;
    assert_eq!(retried, json!({"id": failed[0], "state": "queued"}));
    let again = client.ended(&failed[0]).await;
    assert_eq!(
        (&again["state"], again["attempts"].as_array().unwrap().len()),
        (&json!("failed"), 2)
    );
    let tail = said(&world, &["jobs", "tail", &failed[0]]);
    assert!(
        tail.contains("queued again: retry asked by local"),
        "{tail}"
    );
    assert_eq!(tail.matches("failed\n").count(), 2, "{tail}");
    // … but not what has succeeded, and nobody else's.
    let refused = client.call("jobs__retry", json!({"id": done})).await;
    let expected = format!("Job {done} cannot be run again: it has succeeded.");
    assert_eq!(failure_of(&refused), ("wrong_state".to_owned(), expected));
    let foreign = world.smcp_json(&["call", "awkward__silent-fail", "--detach"]);
    let foreign = foreign["id"].as_str().unwrap();
    client_refused(
        &client,
        "jobs__retry",
        json!({"id": foreign}),
        "no_such_job",
    )
    .await;

    let (code, out, _) = run(&world, &["jobs", "retry", &failed[1], &done]);
    assert_eq!(code, FAILURE);
    let expected = format!(
        "{} is queued again\nskipped {done}: it has succeeded\n",
        failed[1]
    );
    assert_eq!(out, expected);
    client.ended(&failed[1]).await;
    eventually("all have ended", || {
        let jobs = world.smcp_json(&["jobs", "list"]);
        let jobs = jobs.as_array().unwrap();
        jobs.iter()
            .all(|job| !job["finished_at"].is_null())
            .then_some(())
    });
    let dead = [
        "jobs",
        "requeue-dead",
        "--tool",
        "awkward__*",
        "--error",
        "plugin_error",
    ];
    let (code, out, _) = run(&world, &dead);
    assert_eq!(
        (code, out.as_str()),
        (
            REFUSED,
            "4 jobs would be requeued\n  4 of awkward__silent-fail\n"
        )
    );
    // One of them has lost its tool since.
    let gone = "UPDATE jobs SET tool = 'awkward__gone' WHERE id = ?1";
    world.sql().execute(gone, [&failed[2]]).unwrap();
    let outcome = world.smcp_json(&[&dead[..], &["--confirm"]].concat());
    assert_eq!(
        (&outcome["matched"], &outcome["requeued"]),
        (&json!(4), &json!(3))
    );
    let skipped = json!([{"id": failed[2], "code": "tool_removed", "reason": "there is no tool awkward__gone any more"}]);
    assert_eq!(outcome["skipped"], skipped);
    let again = client.ended(&failed[0]).await;
    assert_eq!(again["attempts"].as_array().unwrap().len(), 3);
    world.assert_sound();
}

#[test]
fn who_asks_again_for_a_job_that_runs_again_waits_for_its_new_end() {
    let (world, _roles) = World::running();
    let deed = ["call", "awkward__silent-fail", "--key", "deed"];
    assert_eq!(run(&world, &deed).0, FAILURE);
    let jobs = world.smcp_json(&["jobs", "list"]);
    let id = jobs[0]["id"].as_str().unwrap();
    said(&world, &["queues", "pause", "--plugin", "awkward"]);
    said(&world, &["jobs", "retry", id]);
    let mut command = world.command(&deed);
    let mut call = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(call.stderr.take().unwrap()).lines();
    let mut heard = || lines.next().expect("it is not answered yet").unwrap();
    let first = heard();
    assert!(
        first.contains("queued again: retry asked by operator"),
        "{first}"
    );
    let second = heard();
    assert!(
        second.contains("waits: plugin 'awkward' was paused"),
        "{second}"
    );
    said(&world, &["queues", "resume", "--plugin", "awkward"]);
    let last = heard();
    assert!(last.starts_with("error: "), "{last}");
    assert_eq!(call.wait().unwrap().code(), Some(FAILURE));
    let job = world.smcp_json(&["jobs", "show", id]);
    assert_eq!(job["attempts"].as_array().unwrap().len(), 2, "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_priority_changes_who_is_next() {
    let (world, _roles) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    client.submit("sleepy__nap", naps.until_open("first")).await;
    naps.started("first");
    let mut ids = Vec::new();
    for label in ["b", "c", "d"] {
        ids.push(client.submit("sleepy__nap", naps.lasting(0.0, label)).await);
    }
    let job = client.json("jobs__get", json!({"id": ids[2]})).await;
    let reason = &job["waiting"][0];
    assert_eq!(
        (&reason["code"], &reason["position"]),
        (&json!("lane_busy"), &json!(3))
    );
    let set = said(&world, &["jobs", "priority", "-5", "--tool", "sleepy__*"]);
    assert_eq!(set, "3 jobs changed\n  3 of sleepy__nap\n");
    said(&world, &["jobs", "priority", "50", &ids[2]]);
    naps.open();
    for id in &ids {
        assert_eq!(client.ended(id).await["state"], "succeeded");
    }
    let mut lines = naps.lines();
    lines.retain(|line| line.event == "start");
    let order: Vec<_> = lines.iter().map(|line| line.label.as_str()).collect();
    assert_eq!(order, ["first", "d", "b", "c"]);
}

async fn client_refused(client: &Client, tool: &'static str, arguments: Value, code: &str) {
    let refused = client.call(tool, arguments).await;
    assert_eq!(failure_of(&refused).0, code, "{tool}: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_everybodys_only_operators_change() {
    let (world, _roles): (World, [Role; 2]) = World::running();
    let client = world.client().await;
    for (tool, arguments) in [
        ("queues__pause", json!({"all": true})),
        ("queues__resume", json!({"all": true})),
        ("jobs__flush", json!({"confirm": true})),
        ("jobs__requeue_dead", json!({"confirm": true})),
        ("jobs__priority", json!({"tool": "*", "priority": 1})),
    ] {
        client_refused(&client, tool, arguments, "not_allowed").await;
    }
    let naps = Naps::of(&world);
    let nap = ["--args", &naps.until_open("theirs").to_string()].map(str::to_owned);
    let detached = world.smcp_json(&["call", "sleepy__nap", &nap[0], &nap[1], "--detach"]);
    naps.started("theirs");
    let queues = client.json("queues__list", json!({})).await;
    let lane = &queues["queues"][0];
    assert_eq!(
        (&lane["running"], &lane["jobs"]),
        (&json!(1), &json!([])),
        "only counted"
    );
    let queues = world.smcp_json(&["queues", "list"]);
    assert_eq!(queues["queues"][0]["jobs"][0]["id"], detached["id"]);
    naps.open();

    let key = fs::read_to_string(world.path("operator.key")).unwrap();
    let operator = world.client_with_key(key.trim()).await;
    for (tool, arguments, code) in [
        ("queues__pause", json!({}), "invalid_arguments"),
        (
            "queues__pause",
            json!({"all": true, "lane": "a"}),
            "invalid_arguments",
        ),
        (
            "queues__pause",
            json!({"plugin": "slepy"}),
            "unknown_plugin",
        ),
        (
            "jobs__flush",
            json!({"state": "running", "confirm": true}),
            "invalid_arguments",
        ),
        (
            "jobs__flush",
            json!({"state": "succeeded"}),
            "confirmation_required",
        ),
        ("jobs__requeue_dead", json!({}), "confirmation_required"),
        (
            "jobs__priority",
            json!({"priority": 1}),
            "invalid_arguments",
        ),
        (
            "jobs__priority",
            json!({"priority": 101, "tool": "*"}),
            "invalid_arguments",
        ),
        ("jobs__retry", json!({}), "invalid_arguments"),
    ] {
        client_refused(&operator, tool, arguments, code).await;
    }
    let id = detached["id"].as_str().unwrap();
    assert_eq!(operator.ended(id).await["state"], "succeeded");
}
