//! Rules in force: as they are stored, and at each call, tick and step.

use std::fs;

use serde_json::{Value, json};

use super::failed;
use crate::agents::added;
use crate::workflows::ended;
use crate::world::{World, eventually, failure_of, text};

#[tokio::test(flavor = "multi_thread")]
async fn rules_come_into_force_as_they_are_stored_and_what_is_wrong_changes_nothing() {
    let (world, _roles) = World::new().with_rule_fixture().started();
    let key = added(&world, &["ada"]);
    let ada = world.client_with_key(&key).await;
    let status = async || failure_of(&ada.call("devops__status", json!({})).await);
    let (code, message) = status().await;
    assert_eq!(code, "not_allowed");
    assert!(
        message.starts_with("No rule permits 'ada' to call devops__status like this now."),
        "{message}"
    );
    let tools = async || {
        let tools = ada.0.list_all_tools().await.unwrap();
        let names = tools.into_iter().map(|tool| tool.name.to_string());
        names
            .filter(|name| name.starts_with("devops"))
            .collect::<Vec<_>>()
    };
    assert_eq!(tools().await, Vec::<String>::new());

    world.govern("@id(\"ada-reads\") permit (principal == Smcp::Agent::\"ada\", action in Smcp::Action::\"read_only\", resource);");
    assert_eq!(tools().await, ["devops__status"]);
    let answer = ada.call("devops__status", json!({})).await;
    assert_ne!(answer.is_error, Some(true), "{answer:?}");
    let hash = world.smcp_json(&["policy", "check"])["in_force"]["hash"].clone();
    let recorded = world.smcp_json(&["audit", "search", "--kind", "job.queued"]);
    assert_eq!(recorded[0]["data"]["rules"], json!(["ada-reads"]));
    assert_eq!(recorded[0]["data"]["policy"], hash);

    // What is wrong is told with its place, here and in the log; the rules before it stay.
    world.write_rules(
        "wrong.cedar",
        "\n@id(\"b\")\npermit (principal, action == Smcp::Action::\"devops__deplyo\", resource);\n",
    );
    let told = world.wait_for_check("the edit has been refused", |told| told["ok"] == false);
    assert_eq!(told["in_force"]["hash"], hash);
    let expected = "wrong.cedar:3:30: rule b: unrecognized action `Smcp::Action::\"devops__deplyo\"` (did you mean `Smcp::Action::\"devops__deploy\"`?)";
    let printed = failed(&world.smcp(&["policy", "check"]), 1);
    assert_eq!(printed.lines().next(), Some(expected));
    world.wait_for_log(expected, 1);
    assert_eq!(
        world.smcp_json(&["call", "health"])["structuredContent"]["policy"]["refused"],
        true
    );
    assert_ne!(
        ada.call("devops__status", json!({})).await.is_error,
        Some(true)
    );

    // And mended: a rule that forbids says so, with its words, and nothing runs.
    let forbid = "@id(\"closed\") @message(\"We move house.\") forbid (principal, action == Smcp::Action::\"devops__status\", resource);";
    world.write_rules("wrong.cedar", forbid);
    world.wait_for_check("the edit is in force", |told| {
        told["ok"] == true && told["in_force"]["hash"] != hash
    });
    let refused = ada.call("devops__status", json!({})).await;
    let (code, message) = failure_of(&refused);
    assert_eq!(code, "not_allowed");
    assert_eq!(
        message,
        "'ada' may not call devops__status like this: rule closed forbids it. We move house."
    );
    let error = &refused.structured_content.unwrap()["error"];
    assert_eq!(error["rules"], json!(["closed"]));
    let denied = world.smcp_json(&["audit", "search", "--kind", "call.denied"]);
    assert_eq!(denied[0]["data"]["rules"], json!(["closed"]));
    assert_eq!(denied[0]["data"]["policy"], error["policy"]);
    assert_eq!(tools().await, Vec::<String>::new());

    // A directory that is gone is no reason to forget what is forbidden.
    fs::rename(world.path("policies"), world.path("moved")).unwrap();
    let told = world.wait_for_check("it is missed", |told| told["ok"] == false);
    assert!(
        told["error"]
            .as_str()
            .unwrap()
            .contains("there is no such directory"),
        "{told}"
    );
    assert_eq!(status().await.0, "not_allowed");
    fs::rename(world.path("moved"), world.path("policies")).unwrap();
    world.wait_for_check("it is back", |told| told["ok"] == true);
    let changes = world.smcp_json(&["audit", "search", "--kind", "policy.changed"]);
    assert_eq!(changes.as_array().unwrap().len(), 3, "{changes}");
    assert_eq!(changes[0]["data"]["old"], hash);
    assert_eq!(
        changes[0]["data"]["files"],
        json!(["rules.cedar", "wrong.cedar"])
    );
    world.assert_sound();
}

#[test]
fn a_first_start_with_wrong_rules_is_refused_and_a_later_one_goes_on_with_those_before() {
    let mut world = World::new().with_rule_fixture();
    world.write_rules("a.cedar", "@id(\"a\") permit (principal, action, resource)");
    let output = world.smcp(&["api", "--port", "0"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("a.cedar:1:46: unexpected end of input"),
        "{told}"
    );

    let rule =
        "@id(\"a\") forbid (principal, action == Smcp::Action::\"devops__count\", resource);";
    world.write_rules("a.cedar", rule);
    // Nobody has looked at the plugins yet: the rule may name what will be found.
    let api = world.api();
    let hash = world.smcp_json(&["policy", "check"])["in_force"]["hash"].clone();
    api.kill();
    world.write_rules(
        "b.cedar",
        "@id(\"a\") permit (principal, action, resource);",
    );
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let told = world.wait_for_check("it is refused", |told| told["ok"] == false);
    assert_eq!(told["in_force"]["hash"], hash);
    assert_eq!(
        told["problems"][0]["message"],
        "there is another rule of this id in a.cedar:1:1"
    );
    let explained = world.smcp_json(&[
        "policy",
        "explain",
        "devops__count",
        "n=1",
        "--agent",
        "operator",
    ]);
    assert_eq!(
        (&explained["decision"], &explained["rules"]),
        (&json!("deny"), &json!(["a"]))
    );
}

#[test]
fn rules_that_name_a_tool_too_early_come_into_force_with_it() {
    let world = World::new();
    let plugins = world.path("own-plugins");
    fs::create_dir(&plugins).unwrap();
    let (world, _roles) = world.with_plugins(plugins.to_str().unwrap()).started();
    world.write_rules(
        "early.cedar",
        "@id(\"early\") permit (principal, action == Smcp::Action::\"devops__status\", resource);",
    );
    world.wait_for_check("it is refused", |told| told["ok"] == false);

    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/governance/plugins/devops/cli.py"
    );
    fs::create_dir(plugins.join("devops")).unwrap();
    fs::copy(fixture, plugins.join("devops/cli.py")).unwrap();
    world.wait_for_check("it is in force", |told| {
        told["ok"] == true && told["in_force"]["files"] == json!(["early.cedar"])
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_and_workflows_are_decided_when_their_time_comes() {
    let (world, _roles) = World::new().with_rule_fixture().started();
    let key = added(&world, &["ada", "--group", "users"]);
    let ada = world.client_with_key(&key).await;
    let schedule = json!({"name": "often", "cron": "* * * * * *", "tool": "devops__count", "arguments": {"n": 7}});
    let schedule = ada.json("schedules__create", schedule).await;
    let id = schedule["id"].as_str().unwrap().to_owned();
    let jobs = || -> i64 {
        let sql = "SELECT count(*) FROM jobs WHERE source = 'schedule'";
        world.sql().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    eventually("it runs", || (jobs() > 0).then_some(()));

    world.govern("@id(\"no-sevens\") forbid (principal, action == Smcp::Action::\"devops__count\", resource) when { context.input.n == 7 };");
    let refused = eventually("a tick is refused", || {
        let shown = world.smcp_json(&["schedules", "show", &id]);
        let ticks = shown["ticks"]
            .as_array()
            .or(shown["history"].as_array())
            .cloned();
        ticks?.into_iter().find(|tick| tick["outcome"] == "refused")
    });
    assert!(
        refused.to_string().contains("rule no-sevens forbids it"),
        "{refused}"
    );
    let denied = world.smcp_json(&["audit", "search", "--kind", "call.denied"]);
    assert_eq!(
        (&denied[0]["data"]["via"], &denied[0]["data"]["rules"]),
        (&json!("schedule"), &json!(["no-sevens"]))
    );

    // What is known when a workflow is submitted is decided then, and what a step gets from another one when it begins.
    let steps = json!({"steps": [{"id": "one", "tool": "devops__count", "arguments": {"n": 7}}]});
    let submitted = ada.call("workflows__submit", steps).await;
    assert_eq!(failure_of(&submitted).0, "not_allowed");
    world.govern("@id(\"no-results\") forbid (principal, action == Smcp::Action::\"devops__deploy\", resource) when { context.input.app_name like \"done*\" };");
    let steps = json!({"steps": [
        {"id": "first", "tool": "devops__status"},
        {"id": "second", "tool": "devops__deploy", "needs": ["first"], "arguments": {"app_name": "${steps.first.result}"}},
    ]});
    let submitted = ada.json("workflows__submit", steps).await;
    let ended = ended(&ada, submitted["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    let error = &ended["steps"][1]["error"];
    assert_eq!(error["code"], "not_allowed", "{ended}");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("rule no-results forbids it"),
        "{error}"
    );
    world.assert_sound();
}

#[test]
fn what_rules_ask_for_is_what_a_job_gets() {
    let (world, _roles) = World::new().with_rule_fixture().started();
    world.govern(
        "@id(\"short\") @timeout(\"7s\") @maxAttempts(\"1\") permit (principal, action == Smcp::Action::\"devops__status\", resource);\n\
         @id(\"once\") @rate(\"1/1h\") permit (principal, action == Smcp::Action::\"devops__count\", resource);\n\
         @id(\"little\") @maxArguments(\"10B\") permit (principal, action == Smcp::Action::\"devops__rollback\", resource);",
    );
    world.smcp_json(&["call", "devops__status"]);
    let job: (i64, i64) = world
        .sql()
        .query_row("SELECT timeout_ms, max_attempts FROM jobs", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(job, (7_000, 1));
    world.smcp_json(&["call", "devops__count", "n=1"]);
    let code = |arguments: &[&str]| {
        let output = world.smcp(arguments);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["structuredContent"]["error"]["code"].clone()
    };
    assert_eq!(
        code(&["call", "devops__count", "n=1", "--json"]),
        "limit_exceeded"
    );
    assert_eq!(
        code(&["call", "devops__rollback", "app_name=orders", "--json"]),
        "arguments_too_large"
    );
}
