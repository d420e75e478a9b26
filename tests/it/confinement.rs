//! What is told of sandboxes: of each attempt, of each worker, and of this machine. What this machine can do is not
//! assumed: the records are written as a worker would.

use serde_json::{Value, json};

use crate::world::{World, job_of, text, text_of};

/// More than is kept.
const BYTES: usize = 17 * 1024 * 1024;
const KEPT: usize = 16 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn what_held_an_attempt_is_shown_with_it() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let answer = client
        .call("demo_math__calculate", json!({"expression": "2+2"}))
        .await;
    let id = job_of(&answer);
    let held = json!({
        "tier": "isolated", "by": ["mount, pid, net namespaces", "Landlock ABI 7", "seccomp", "limits"],
        "partial": ["memory"], "start": "warm",
    });
    let set = "UPDATE attempts SET sandbox = ?1";
    assert_eq!(world.sql().execute(set, [held.to_string()]).unwrap(), 1);

    let job = client.json("jobs__get", json!({"id": id})).await;
    assert_eq!(job["attempts"][0]["sandbox"], held);
    assert_eq!(job["warning"], Value::Null);
    let shown = world.smcp(&["jobs", "show", &id]);
    let shown = text(&shown.stdout);
    let line = "\nsandbox    isolated (T2), warm: mount, pid, net namespaces; Landlock ABI 7; seccomp; limits   \
                partial: memory\n";
    assert!(shown.contains(line), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_say_of_their_machine_is_shown() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let finding = |state: &str, why: Option<&str>| {
        let mut finding = json!({"state": state, "by": ["something"]});
        if let Some(why) = why {
            (finding["why"], finding["fix"]) = (json!(why), json!("mend it"));
        }
        finding
    };
    let report = json!({
        "tier": "isolated", "require": "strict",
        "keys": {"filesystem": finding("enforced", None), "memory": finding("partial", Some("no cgroup"))},
    });
    let set = "UPDATE workers SET sandbox = ?1";
    assert_eq!(world.sql().execute(set, [report.to_string()]).unwrap(), 1);

    let listed = world.smcp_json(&["workers", "list"]);
    assert_eq!(listed[0]["sandbox"], report);
    let table = text(&world.smcp(&["workers", "list"]).stdout);
    let mut lines = table.lines().map(|line| line.split_whitespace());
    let column = |words: &mut std::str::SplitWhitespace<'_>| words.nth(8).map(ToOwned::to_owned);
    let heading = lines.next().and_then(|mut line| column(&mut line));
    assert_eq!(heading.as_deref(), Some("SANDBOX"), "{table}");
    assert!(table.contains("  isolated  "), "{table}");

    let health = client.json("health", json!({})).await;
    assert_eq!(
        health["sandbox"],
        json!({
            "reports": [{
                "workers": [listed[0]["id"]], "tier": "isolated", "require": "strict", "refusal": null,
                "keys": {"filesystem": "enforced", "memory": "partial"},
                "gaps": {"memory": {"state": "partial", "why": "no cgroup", "fix": "mend it"}},
                "probes_failed": null,
            }],
            "unknown": [],
        })
    );
    assert_eq!(health["workers"][0]["id"], listed[0]["id"]);
    assert_eq!(health["workers"][0]["sandbox"], Value::Null, "told once");
}

#[test]
fn the_doctor_needs_no_server_and_leaves_nothing() {
    let world = World::new();
    let output = world.smcp(&["doctor", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = &told["sandbox"];
    let tiers = ["limits_only", "restricted", "isolated", "contained"];
    assert!(tiers.iter().any(|tier| report["tier"] == *tier), "{report}");
    assert_eq!(report["require"], "restricted");
    assert_eq!(report["self_test"]["failures"], json!([]));
    let keys = report["keys"].as_object().unwrap();
    assert_eq!(keys.len(), 12, "{report}");
    for (key, finding) in keys {
        let is_enforced = finding["state"] == "enforced";
        assert_eq!(finding["why"].is_null(), is_enforced, "{key}: {finding}");
        assert_eq!(finding["fix"].is_null(), is_enforced, "{key}: {finding}");
    }
    let refused = !report["refusal"].is_null();
    assert_eq!(output.status.code(), Some(i32::from(refused)), "{report}");
    let python = told["python"]["path"].as_str().unwrap();
    assert!(python.starts_with('/'), "{told}");
    assert_eq!(told["data_directory"], json!(world.data()));
    assert_eq!(told["plugin_directories"].as_array().unwrap().len(), 2);
    assert_eq!(told["warm"], true);

    let output = world.smcp(&["doctor"]);
    assert_eq!(output.status.code(), Some(i32::from(refused)));
    let said = text(&output.stdout);
    let tier = report["tier"].as_str().unwrap();
    assert!(said.starts_with(&format!("sandbox: {tier} (T")), "{said}");
    for part in [
        "\n  filesystem     ",
        "\n  tree_kill      ",
        "\nwarm start on\n",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!world.database().exists(), "nothing is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_is_told_and_is_no_failure() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let answer = client.call("awkward__large", json!({"bytes": BYTES})).await;
    assert_eq!(answer.is_error, Some(false));
    let message =
        format!("The plugin printed {BYTES} bytes, of which the first {KEPT} have been kept.");
    let warning = json!({"code": "output_truncated", "message": message});
    let meta = &answer.meta.as_ref().unwrap().0;
    assert_eq!(meta["smcp/warning"], warning);
    let said = format!("output_truncated: {message}");
    assert!(text_of(&answer).contains(&format!("{said}]")));

    let id = job_of(&answer);
    let job = client.json("jobs__get", json!({"id": id})).await;
    assert_eq!(
        (&job["state"], &job["warning"]),
        (&json!("succeeded"), &warning)
    );
    assert_eq!(
        job["attempts"].as_array().unwrap().len(),
        1,
        "it is not repeated"
    );
    let shown = text(&world.smcp(&["jobs", "show", &id]).stdout);
    assert!(shown.contains(&format!("\nwarning    {said}\n")), "{shown}");
    let output = world.smcp(&["jobs", "output", &id]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), KEPT));
    assert!(
        text(&output.stderr).contains(&said),
        "{}",
        text(&output.stderr)
    );
    let called = world.smcp(&["call", "awkward__large", &format!("bytes={BYTES}")]);
    assert_eq!(
        called.status.code(),
        Some(1),
        "a file to which it goes is not complete"
    );
    assert!(
        text(&called.stderr).contains(&said),
        "{}",
        text(&called.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_document_is_none() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let size = json!({"bytes": BYTES});
    let json = client.call("content__long-json", size.clone()).await;
    assert_eq!(
        (json.is_error, &json.structured_content),
        (Some(false), &None)
    );
    let said = text_of(&json);
    assert!(said.contains("It is shown as text, since what is left of it is no json any more."));

    let promised = client.call("content__long-words", size).await;
    assert_eq!(promised.is_error, Some(true));
    let error = &promised.structured_content.unwrap()["error"];
    assert_eq!(error["code"], "output_truncated");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("of which the first {KEPT} have been kept.")),
        "{message}"
    );
}
