//! Official clients list the tools and call the demo plugins.

use serde_json::{Value, json};
use smcp_common::clock::Timestamp;

use crate::world::{World, text_of};

#[test]
fn the_python_client_over_sse() {
    the_python_client("sse");
}

#[test]
fn the_python_client_over_streamable_http() {
    the_python_client("http");
}

#[test]
fn the_python_client_over_stdio() {
    the_python_client_in(&World::new(), "stdio");
}

fn the_python_client(transport: &str) {
    let (world, _roles) = World::running();
    the_python_client_in(&world, transport);
}

fn the_python_client_in(world: &World, transport: &str) {
    let answers = world.python(
        transport,
        &json!([
            {"list": true},
            {"call": "demo_math__calculate", "arguments": {"operation": "add", "a": 2, "b": 40}},
            {"call": "demo_text__slugify", "arguments": {"title": "Hello, wide World"}},
            {"call": "demo_math__calculate", "arguments": {"operation": "divide", "a": 1, "b": 0}},
        ]),
    );
    let [hello, listed, sum, slug, division] = answers.try_into().unwrap();
    assert_eq!(
        hello["initialize"]["serverInfo"]["name"],
        "sanctum-letta-mcp"
    );
    let names: Vec<_> = listed["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    for name in [
        "demo_math__calculate",
        "demo_text__echo",
        "health",
        "jobs__get",
        "sanctum__tools",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert!(names.is_sorted());
    assert_eq!(sum["is_error"], false);
    let sum: Value = serde_json::from_str(sum["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        sum,
        json!({"ok": true, "operation": "add", "a": 2.0, "b": 40.0, "result": 42.0})
    );
    assert!(slug["text"].as_str().unwrap().contains("hello-wide-world"));
    assert_eq!(division["is_error"], true);
    assert_eq!(division["structured"]["error"]["code"], "plugin_error");
    assert!(
        division["text"]
            .as_str()
            .unwrap()
            .contains("division_by_zero")
    );
}

#[test]
fn the_second_python_client_negotiates_the_newest_revision() {
    let (world, _roles) = World::running();
    let answers = world.python_2(&json!([
        {"list": true},
        {"call": "sleepy__steps", "arguments": {"count": 3, "seconds": 0.05, "label": "x"}, "progress": true},
        {"call": "demo_math__calculate", "arguments": {"operation": "divide", "a": 1, "b": 0}},
    ]));
    let [hello, listed, steps, division] = answers.try_into().unwrap();
    assert_eq!(hello["connected"]["protocolVersion"], "2026-07-28");
    let tools = &hello["connected"]["capabilities"]["tools"];
    assert_eq!(*tools, json!({"listChanged": true}));
    let names = listed["tools"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted(), "{names:?}");
    for name in ["demo_math__calculate", "health", "sleepy__steps"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }

    assert_eq!(steps["is_error"], false, "{steps}");
    let reports = steps["progress"].as_array().unwrap();
    let counted = |report: &Value| report["progress"].as_f64().unwrap();
    assert!(
        reports.iter().map(counted).is_sorted_by(|a, b| a < b),
        "{reports:?}"
    );
    let last = reports
        .iter()
        .rfind(|report| report["message"] == "step 3 of 3");
    assert_eq!(last.unwrap()["total"], 3.0, "{reports:?}");
    assert!(steps["meta"]["smcp/job"].is_string());

    assert_eq!(division["is_error"], true);
    assert_eq!(division["structured"]["error"]["code"], "plugin_error");
    let said = division["text"].as_str().unwrap();
    assert!(said.contains("division_by_zero"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_rmcp() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let tools = client.0.list_all_tools().await.unwrap();
    assert!(
        tools
            .iter()
            .any(|tool| tool.name == "demo_text__word_count")
    );
    let counted = client
        .call("demo_text__word_count", json!({"text": "one two three"}))
        .await;
    assert_eq!(counted.is_error, Some(false));
    assert!(text_of(&counted).contains("\"words\": 3"));
    assert!(counted.meta.unwrap().0.contains_key("smcp/job"));
}

/// A second of a schedule, by the client's eyes; and a job of a minute that is stopped within a second.
#[test]
fn the_second_python_client_schedules_and_cancels() {
    let (world, _roles) = World::running();
    let every_second = json!({
        "name": "pulse", "cron": "* * * * * *", "tz": "Europe/Berlin", "max_runs": 2,
        "tool": "demo_text__echo", "arguments": {"message": "tick"},
    });
    let nap = json!({"tool": "sleepy__nap", "arguments": {"seconds": 60}});
    let job = json!({"from": [2, "structured", "id"]});
    let answers = world.python_2(&json!([
        {"call": "schedules__create", "arguments": every_second},
        {"call": "schedules__get", "arguments": {"id": "pulse"}, "until": [["structured", "runs"], 2]},
        {"call": "jobs__submit", "arguments": nap},
        {"call": "jobs__get", "arguments": {"id": job}, "until": [["structured", "state"], "running"]},
        {"call": "jobs__cancel", "arguments": {"id": job, "reason": "enough"}},
        {"call": "jobs__wait", "arguments": {"id": job}},
        {"call": "jobs__list", "arguments": {"tool": "demo_text__echo"}},
    ]));
    let answer = |n: usize| {
        let answer = &answers[n + 1];
        assert_eq!(answer["is_error"], false, "{answer}");
        &answer["structured"]
    };
    let told = Timestamp::parse(answer(0)["upcoming"][0]["utc"].as_str().unwrap()).unwrap();
    assert_eq!(told.as_millis() % 1_000, 0);
    let ticks = answer(1)["ticks"].as_array().unwrap();
    assert_eq!(ticks.len(), 2);
    assert_eq!(answer(1)["state"], "ended");
    let runs = answer(6)["jobs"].as_array().unwrap();
    for (tick, run) in ticks.iter().zip(runs) {
        assert_eq!(tick["job"], run["id"], "both are listed newest first");
        let of = Timestamp::parse(tick["tick"]["utc"].as_str().unwrap()).unwrap();
        let late_ms = run["created_at"].as_i64().unwrap() - of.as_millis();
        assert!(
            (0..1_000).contains(&late_ms),
            "{late_ms} ms after its second"
        );
    }
    let stopped = answer(5);
    assert_eq!(
        (&stopped["state"], &stopped["cancel"]["reason"]),
        (&json!("cancelled"), &json!("enough"))
    );
    let took_ms =
        stopped["finished_at"].as_i64().unwrap() - stopped["cancel"]["at"].as_i64().unwrap();
    assert!(took_ms < 1_000, "it took {took_ms} ms");
}
