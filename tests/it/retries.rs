//! Failed attempts and the ones that follow, with a plugin that fails as it is told.

use std::fs;

use serde_json::{Value, json};

use crate::world::{World, eventually, failure_of, text_of};

/// A call of `flaky` that fails `times` times, each time with `exit` after printing `say`.
fn flaky(world: &World, times: u32, exit: i32, say: &Value) -> Value {
    let say = if say.is_null() {
        String::new()
    } else {
        say.to_string()
    };
    json!({"count": world.outside("count"), "times": times, "exit": exit, "say": say})
}

fn attempts(world: &World) -> Vec<String> {
    let count = fs::read_to_string(world.outside("count")).unwrap_or_default();
    count.lines().map(str::to_owned).collect()
}

fn outcomes(job: &Value) -> Vec<&str> {
    let attempts = job["attempts"].as_array().unwrap();
    attempts
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gets_the_answer_of_the_attempt_that_succeeds() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let answer = client
        .call("flaky__patient", flaky(&world, 3, 1, &Value::Null))
        .await;
    assert_eq!(answer.is_error, Some(false), "{answer:?}");
    assert_eq!(text_of(&answer), "done in attempt 4");
    assert_eq!(attempts(&world), ["1", "2", "3", "4"]);
    let id = answer.meta.unwrap().0["smcp/job"].clone();
    let job = client.json("jobs__get", json!({ "id": id })).await;
    assert_eq!(
        outcomes(&job),
        ["failed", "failed", "failed", "succeeded"],
        "the history is kept"
    );
    assert_eq!(job["attempts"][0]["error"]["code"], "plugin_error");
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_bounded_and_the_last_failure_is_the_answer() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let say = json!({"error": "no luck today"});
    let answer = client
        .call("flaky__patient", flaky(&world, 99, 1, &say))
        .await;
    let (code, message) = failure_of(&answer);
    assert_eq!(
        (code.as_str(), &*message),
        ("plugin_error", "no luck today")
    );
    assert_eq!(attempts(&world).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_declares_no_retry_is_tried_again_only_if_it_asks_for_that() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let rows = [
        (1, Value::Null, 1),
        (75, Value::Null, 3),
        (75, json!({"retryable": false}), 1),
        (1, json!({"retryable": true, "retry_after": 0.05}), 3),
        (1, json!({"retry_after": 0}), 3),
    ];
    for (exit, say, expected) in rows {
        let answer = client
            .call("flaky__plain", flaky(&world, 99, exit, &say))
            .await;
        assert_eq!(answer.is_error, Some(true));
        assert_eq!(attempts(&world).len(), expected, "exit {exit}, {say}");
        fs::remove_file(world.outside("count")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_comes_back_later_spends_no_attempt() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let say = json!({"snooze": 0.05});
    let answer = client
        .call("flaky__plain", flaky(&world, 6, 75, &say))
        .await;
    assert_eq!(text_of(&answer), "done in attempt 7");
    let id = answer.meta.unwrap().0["smcp/job"].clone();
    let job = client.json("jobs__get", json!({ "id": id })).await;
    assert_eq!(outcomes(&job)[..6], ["snoozed"; 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_another_attempt_outlives_every_process() {
    let (mut world, [api, worker]) = World::running();
    let client = world.client().await;
    let say = json!({"retry_after": 2});
    let arguments = flaky(&world, 1, 1, &say);
    let id = client.submit("flaky__plain", arguments).await;
    eventually("it waits for its second attempt", || {
        let job = world.smcp_json(&["jobs", "show", &id]);
        (job["state"] == "queued" && outcomes(&job) == ["failed"]).then_some(())
    });
    drop(client);
    worker.kill();
    api.kill();

    let _roles = [world.api(), world.worker()];
    let job = world.client().await.ended(&id).await;
    assert_eq!(outcomes(&job), ["failed", "succeeded"]);
    let at = |n: usize, key: &str| job["attempts"][n][key].as_i64().unwrap();
    let waited_ms = at(1, "started_at") - at(0, "ended_at");
    assert!(waited_ms >= 2_000, "it came back after {waited_ms} ms");
    world.assert_sound();
}

#[test]
fn a_waiting_caller_hears_of_each_attempt() {
    let (world, _roles) = World::running();
    let arguments = flaky(&world, 2, 1, &Value::Null);
    let answers = world.python(
        "http",
        &json!([{"call": "flaky__patient", "arguments": arguments, "progress": true}]),
    );
    let said: Vec<_> = answers[1]["progress"]
        .as_array()
        .unwrap()
        .iter()
        .map(|report| report["message"].as_str().unwrap())
        .collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("Attempt 1 failed; the next one begins"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_policy_takes_the_place_of_the_tools() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let retry = json!({"max_attempts": 2, "initial_s": 0});
    for tool in ["flaky__plain", "flaky__patient"] {
        let arguments = flaky(&world, 99, 1, &Value::Null);
        let request = json!({"tool": tool, "arguments": arguments, "retry": retry});
        let id = client.json("jobs__submit", request).await["id"].clone();
        let job = client.ended(id.as_str().unwrap()).await;
        assert_eq!(outcomes(&job), ["failed", "failed"], "{tool}");
        assert_eq!(job["max_attempts"], 2);
        fs::remove_file(world.outside("count")).unwrap();
    }
    let count = format!("count={}", world.outside("count").display());
    let call = ["call", "flaky__plain", &count, "times=1", "--attempts", "2"];
    let answer = world.smcp(&call);
    assert!(answer.status.success(), "{answer:?}");
    assert_eq!(answer.stdout, b"done in attempt 2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absurd_policy_is_refused_and_nothing_is_recorded() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    for (retry, expected) in [
        (json!({"max_attempts": -1}), "max_attempts"),
        (json!({"max_attempts": 1e9}), "max_attempts"),
        (json!({"initial_s": 1e9}), "initial_s"),
        (json!({"retry_on": ["luck"]}), "retry_on"),
        (json!({"often": true}), "often"),
    ] {
        let arguments = flaky(&world, 0, 1, &Value::Null);
        let request = json!({"tool": "flaky__plain", "arguments": arguments, "retry": retry});
        let (code, message) = failure_of(&client.call("jobs__submit", request).await);
        assert_eq!(code, "invalid_arguments");
        assert!(message.contains(expected), "{message}");
    }
    let jobs = client.json("jobs__list", json!({})).await;
    assert_eq!(jobs["jobs"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_bound_what_callers_may_ask_for() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let set = world.smcp(&["settings", "set", "jobs.max_attempts", "2"]);
    assert!(set.status.success(), "{set:?}");
    let request = |attempts: u32| {
        let arguments = flaky(&world, 0, 1, &Value::Null);
        json!({"tool": "flaky__plain", "arguments": arguments, "retry": {"max_attempts": attempts}})
    };
    let (code, message) = failure_of(&client.call("jobs__submit", request(3)).await);
    assert_eq!(code, "invalid_arguments");
    assert!(
        message.contains("'retry.max_attempts' is 3, but callers may ask for 2"),
        "{message}"
    );
    let id = client.json("jobs__submit", request(2)).await["id"].clone();
    assert_eq!(
        client.ended(id.as_str().unwrap()).await["state"],
        "succeeded"
    );
}
