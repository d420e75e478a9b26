//! For those who write rules: tables, explanations, and what has happened tried once more.

use std::fs;

use serde_json::json;

use super::failed;
use crate::agents::said;
use crate::world::{World, text};

/// The example that comes with SMCP.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/policies");

#[test]
fn a_table_tells_what_is_decided_otherwise() {
    let (world, _roles) = World::new().with_rule_fixture().started();
    let wrong = world.path("wrong.json");
    let case = json!([
        {"name": "one", "agent": "local", "tool": "devops__status", "expect": "deny"},
        {"name": "two", "agent": "local", "tool": "devops__status", "expect": "allow", "rules": ["x"], "obligations": {"timeout_ms": 5}},
        {"name": "three", "agent": "local", "tool": "devops__gone", "expect": "allow"},
        {"name": "four", "agent": "local", "tool": "devops__status", "expect": "allow"},
    ]);
    fs::write(&wrong, case.to_string()).unwrap();
    let told = failed(
        &world.smcp(&["policy", "test", &wrong.display().to_string()]),
        1,
    );
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], "differs one: allow instead of deny");
    assert!(lines[1].starts_with("differs two: decided by builtin:users-may-call-what-destroys-nothing instead of x; timeout_ms is null"));
    assert!(
        lines[2].starts_with("differs three: it cannot be called: There is no tool 'devops__gone'")
    );
    assert_eq!(lines[3], "3 of 4 cases are decided otherwise.");
}

#[test]
fn the_example_does_what_its_cases_say() {
    let (world, _roles) = World::running();
    let checked = said(&world, &["policy", "check", EXAMPLE]);
    assert!(
        checked.ends_with(&format!("{EXAMPLE} can be put in force.\n")),
        "{checked}"
    );
    let cases = format!("{EXAMPLE}/cases.toml");
    assert_eq!(
        said(&world, &["policy", "test", &cases, "--policies", EXAMPLE]),
        "All 7 cases are decided as expected.\n"
    );
    // Nothing of that has put them in force.
    let explained = world.smcp_json(&[
        "policy",
        "explain",
        "devops__deploy",
        "app_name=web",
        "--agent",
        "x",
        "--group",
        "ci",
    ]);
    assert_eq!(explained["decision"], "deny");
}

#[test]
fn what_would_make_it_allowed_is_told_clause_by_clause() {
    let (world, _roles) = World::new().with_rule_fixture().started();
    let call = [
        "policy",
        "explain",
        "devops__deploy",
        "app_name=web",
        "environment=production",
        "--agent",
        "x",
        "--group",
        "ci",
    ];
    let told = |more: &[&str]| {
        said(
            &world,
            &[&call[..], &["--policies", EXAMPLE], more].concat(),
        )
    };
    let saturday = told(&["--at", "2026-12-05T10:00:00Z"]);
    let lines: Vec<_> = saturday.lines().collect();
    assert_eq!(lines[0], "deny");
    assert!(lines.contains(&"rules   none"), "{saturday}");
    for line in [
        "permit ci-deploys-to-production-in-working-hours does not apply (ci.cedar:8)",
        "  + principal in Smcp::Group::\"ci\"",
        "  + context.input.environment == \"production\"",
        "  - context.session.weekday < 6",
        "  - context.input.environment == \"staging\"",
    ] {
        assert!(lines.contains(&line), "{line}\n{saturday}");
    }
    let friday = told(&["--at", "2026-12-04T10:00:00Z"]);
    assert!(friday.starts_with("approval\n"), "{friday}");
    assert!(friday.contains("needs   the approval of ops\n"), "{friday}");
    assert!(friday.contains("needs   4 calls within 1 h\n"), "{friday}");
    let scheduled = told(&["--at", "2026-12-04T10:00:00Z", "--via", "schedule"]);
    assert!(
        scheduled.contains("Production is deployed by people"),
        "{scheduled}"
    );

    let shown = said(
        &world,
        &[
            "policy",
            "show",
            "--agent",
            "x",
            "--group",
            "ci",
            "--policies",
            EXAMPLE,
        ],
    );
    assert!(shown.starts_with("x is in ci.\n"), "{shown}");
    assert!(
        shown.contains("the approval of ops; 4 calls within 1 h; no longer than 10 min"),
        "{shown}"
    );
    assert!(!shown.contains("devops__status"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rules_are_tried_on_what_has_happened() {
    let (world, _roles) = World::new().with_rule_fixture().started();
    let client = world.client().await;
    let deploy = async |environment: &str, token: Option<&str>| {
        let call = json!({"app_name": "web", "environment": environment, "token": token});
        assert_ne!(
            client.call("devops__deploy", call).await.is_error,
            Some(true)
        );
    };
    deploy("staging", None).await;
    deploy("production", None).await;
    deploy("production", Some("s3cret")).await;
    world.smcp_json(&["settings", "set", "jobs.max_attempts", "2"]);

    let other = world.path("other");
    fs::create_dir(&other).unwrap();
    let rules = |text: &str| fs::write(other.join("r.cedar"), text).unwrap();
    let path = other.display().to_string();
    let replaying = ["policy", "replay", "--since", "1h", "--policies", &path];
    let replay = || world.smcp_json(&replaying);
    rules(
        "@id(\"no-production\") forbid (principal, action == Smcp::Action::\"devops__deploy\", resource)\n\
           when { context.input has environment && context.input.environment == \"production\" };",
    );
    let told = replay();
    assert_eq!(
        (&told["changed"], &told["undecidable"]),
        (&json!(2), &json!(0)),
        "{told}"
    );
    let change = &told["changes"][0];
    assert_eq!(
        (&change["was"], &change["is"], &change["by"]),
        (&json!("allow"), &json!("deny"), &json!(["no-production"]))
    );

    rules(
        "@id(\"no-tokens\") forbid (principal, action == Smcp::Action::\"devops__deploy\", resource)\n\
           when { context.input has token && context.input.token like \"s*\" };",
    );
    let told = replay();
    assert_eq!(
        (&told["changed"], &told["undecidable"]),
        (&json!(0), &json!(1)),
        "{told}"
    );
    assert_eq!(told["undecided"][0]["unknown"], json!(["token"]));

    rules(
        "@id(\"settings-stay\") forbid (principal, action == Smcp::Action::\"settings__set\", resource);",
    );
    let printed = said(&world, &replaying);
    assert!(printed.contains("settings__set"), "{printed}");
    assert!(
        printed.contains("1 would be decided otherwise, "),
        "{printed}"
    );

    // What are no rules is refused.
    rules("@id(\"x\") permit (principal, action, resource) when { context.inpt.x };");
    let directory = other.display().to_string();
    let output = world.smcp(&[
        "policy",
        "explain",
        "devops__status",
        "--agent",
        "x",
        "--policies",
        &directory,
    ]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("r.cedar:1:54: rule x: attribute `inpt`"),
        "{told}"
    );
    world.assert_sound();
}
