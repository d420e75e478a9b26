//! Dry runs: what a call would do, told without doing it.

use serde_json::{Value, json};

use crate::agents::{added, said};
use crate::http::{Session, TRANSPORTS, modern, send};
use crate::naps::Naps;
use crate::world::{World, failure_of, text};

const RULES: &str = r#"
@id("naps")
@rate("2/1h")
@timeout("90s")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__nap", resource);

@id("wipes")
@requireApproval("ops")
@timeout("30s")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__wipe", resource);

@id("once")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__once-nap", resource);

@id("never")
forbid (principal, action == Smcp::Action::"sleepy__once-nap", resource)
unless { context.input has label && context.input.label == "now" };

@id("short")
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__held-nap", resource)
when { context.input has label && context.input.label == "short" };

@id("steps")
@dryRunOnly
permit (principal == Smcp::Agent::"ci", action == Smcp::Action::"sleepy__steps", resource);
"#;

/// How many jobs there are.
fn jobs(world: &World) -> i64 {
    let count = "SELECT count(*) FROM jobs";
    world.sql().query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn the_command_line_tells_what_would_happen_and_does_nothing() {
    let (world, _roles) = World::new().with("MCP_PLUGIN_TIMEOUT", "60").started();
    world.govern(RULES);
    let (key, naps) = (added(&world, &["ci"]), Naps::of(&world));
    let journal = format!(
        "journal={}",
        naps.lasting(0.0, "")["journal"].as_str().unwrap()
    );
    let dry = |tool: &str, more: &[&str]| {
        let call = [
            "call",
            tool,
            "seconds=0",
            &journal,
            "--dry-run",
            "--api-key",
            &key,
        ];
        let output = world.smcp(&[&call[..], more].concat());
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, told, warned) = dry("sleepy__nap", &["label=a b"]);
    assert_eq!((code, &*warned), (Some(0), ""));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "allow", "{told}");
    for line in [
        "rules      naps",
        "limit      0 of 2 used: 2 calls within 1 h, rule naps",
        "effect     read_only",
        "timeout    60 s",
        "lane       sleepy: 0 running, 0 waiting",
        "Nothing has been run; --json also tells the sandbox.",
    ] {
        assert!(lines.contains(&line), "{line}: {told}");
    }
    let runs = lines.iter().find(|line| line.starts_with("runs ")).unwrap();
    assert!(
        runs.contains("nap --seconds 0") && runs.contains("--label a b"),
        "{runs}"
    );

    let (code, told, _) = dry("sleepy__wipe", &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("approval\n"), "{told}");
    assert!(told.contains("needs      the approval of ops\n"), "{told}");
    assert!(told.contains("timeout    30 s\n"), "{told}");

    let (code, told, _) = dry("sleepy__once-nap", &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.starts_with("deny\nwhy        "), "{told}");
    assert!(told.contains("rules      never\n"), "{told}");
    let (code, told, _) = dry("sleepy__held-nap", &["--json"]);
    assert_eq!(code, Some(1), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["decision"], &told["code"], &told["rules"]),
        (&json!("deny"), &json!("not_allowed"), &json!([]))
    );
    assert!(
        told["message"]
            .as_str()
            .unwrap()
            .contains("sleepy__held-nap"),
        "{told}"
    );

    let (code, told, _) = dry("sleepy__nap", &["--json"]);
    assert_eq!(code, Some(0));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["dry_run"], true);
    assert_eq!(
        told["lane"],
        json!({"name": "sleepy", "queued": 0, "running": 0})
    );
    assert!(told["sandbox"].is_object(), "{told}");
    assert_eq!((jobs(&world), naps.lines().len()), (0, 0));
    let searched = world.smcp_json(&["audit", "search", "--agent", "ci", "--kind", "call.denied"]);
    assert_eq!(searched.as_array().unwrap().len(), 2, "{searched}");
    world.assert_sound();
}

#[test]
fn why_a_tool_is_not_listed_is_told_by_a_dry_run() {
    let (world, _roles) = World::running();
    let key = added(&world, &["ci"]);
    let dry = |tool: &str| {
        let call = ["call", tool, "message=x", "--api-key", &key, "--dry-run"];
        let output = world.smcp(&call);
        let told = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), told)
    };
    let (code, (told, warned)) = dry("demo_text__echo");
    assert_eq!((code, &*warned), (Some(1), ""), "{told}");
    let why = "deny\nwhy        No rule permits 'ci' to call demo_text__echo like this now.";
    assert!(told.starts_with(why), "{told}");
    assert!(told.contains("\nrules      none\n"), "{told}");
    let (code, (_, warned)) = dry("demo_text__ecko");
    assert_eq!(code, Some(2), "{warned}");
    let unknown = "error: there is no tool 'demo_text__ecko' that you may call";
    assert!(warned.starts_with(unknown), "{warned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_is_left_of_a_limit_and_leaves_it() {
    let (world, _roles) = World::running();
    world.govern(RULES);
    let (key, naps) = (added(&world, &["ci"]), Naps::of(&world));
    let ci = world.client_with_key(&key).await;
    let nap = naps.lasting(0.0, "n");
    let dry = async || {
        let asked = json!({"tool": "sleepy__nap", "arguments": nap, "dry_run": true});
        ci.json("jobs__submit", asked).await
    };
    for used in 0..2 {
        for _again in 0..3 {
            let told = dry().await;
            assert_eq!(told["decision"], "allow", "{told}");
            let limit = &told["limits"][0];
            assert_eq!(
                (&limit["rule"], &limit["used"], &limit["allowed"]),
                (&json!("naps"), &json!(used), &json!(2))
            );
        }
        let job = ci.submit("sleepy__nap", nap.clone()).await;
        assert_eq!(ci.ended(&job).await["state"], "succeeded");
    }
    let told = dry().await;
    assert_eq!(told["limits"][0]["used"], 2, "{told}");
    assert!(told["limits"][0]["frees_at"].is_string(), "{told}");
    let (code, _) = failure_of(&ci.call("sleepy__nap", nap.clone()).await);
    assert_eq!(code, "limit_exceeded");
    assert_eq!(naps.told("n", "start").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_asks_by_the_meta_of_a_call() {
    let (world, _roles) = World::running();
    world.govern(RULES);
    let (key, naps) = (added(&world, &["ci"]), Naps::of(&world));
    let ask = |tool: &str, asked: Value| {
        let arguments =
            json!({"seconds": 0, "count": 1, "journal": naps.lasting(0.0, "")["journal"]});
        let mut arguments = arguments;
        if tool != "sleepy__steps" {
            arguments.as_object_mut().unwrap().remove("count");
        }
        json!({"name": tool, "arguments": arguments, "_meta": {"smcp/dry-run": asked}})
    };
    for transport in TRANSPORTS {
        let mut session = Session::open_as(&world, transport, Some(&key)).await;
        for (tool, decision) in [
            ("sleepy__nap", "allow"),
            ("sleepy__wipe", "approval"),
            ("sleepy__once-nap", "deny"),
            ("sleepy__steps", "allow"),
        ] {
            let told = session.ask("tools/call", ask(tool, json!(true))).await;
            let told = &told["result"];
            assert_eq!(told["isError"], false, "{told}");
            let told = &told["structuredContent"];
            assert_eq!(
                (&told["dry_run"], &told["decision"]),
                (&json!(true), &json!(decision)),
                "{told}"
            );
        }
        let wrong = session
            .ask("tools/call", ask("sleepy__nap", json!("yes")))
            .await;
        let error = &wrong["result"]["structuredContent"]["error"];
        assert_eq!(error["code"], "invalid_arguments", "{wrong}");
    }
    // Without a session, too.
    let call = modern(
        &world,
        "tools/call",
        Some("sleepy__nap"),
        ask("sleepy__nap", json!(true)),
        &json!({}),
    );
    let told = send(call.bearer_auth(&key)).await.json();
    assert_eq!(
        told["result"]["structuredContent"]["decision"], "allow",
        "{told}"
    );
    assert_eq!((jobs(&world), naps.lines().len()), (0, 0));
    // What may only be asked is not done.
    let ci = world.client_with_key(&key).await;
    let done = ci
        .call("sleepy__steps", json!({"count": 1, "seconds": 0}))
        .await;
    assert_eq!(failure_of(&done).0, "dry_run_only");
    assert_eq!(jobs(&world), 0);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_arguments_are_masked() {
    let (world, _roles) = World::running();
    let secret = "pa55word of the caller";
    let arguments = json!({"pass_word": secret, "more": {"a": secret}, "how": "text"});
    let client = world.client().await;
    let asked = json!({"tool": "keeper__leak", "arguments": arguments, "dry_run": true});
    let told = client.json("jobs__submit", asked).await;
    assert_eq!(told["decision"], "allow");
    assert_eq!(
        told["arguments"],
        json!({"pass-word": "[redacted]", "more": "[redacted]", "how": "text"})
    );
    let command_line = told["command_line"].to_string();
    assert!(
        command_line.contains(r#""--pass-word","[redacted]""#),
        "{told}"
    );
    let printed = said(
        &world,
        &[
            "call",
            "keeper__leak",
            &format!("pass-word={secret}"),
            "--dry-run",
        ],
    );
    for told in [
        told.to_string(),
        printed,
        world.smcp_json(&["audit", "search"]).to_string(),
    ] {
        assert!(!told.contains("pa55word"), "{told}");
    }
    assert_eq!(jobs(&world), 0);
}
