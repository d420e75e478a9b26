//! Plugin integrity: what has changed since it was accepted is said to have changed, or is not run.

use std::fs;
use std::path::PathBuf;

use rmcp::model::Tool;
use serde_json::{Value, json};

use crate::live::{Told, write_plugin};
use crate::world::{Client, Role, World, eventually, failure_of, text, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plugin_is_quarantined_until_an_operator_accepts_it() {
    let (world, _roles) = pinned("require");
    let client = world.client().await;
    assert_eq!(said(&client, "one__say").await, "first");
    assert_eq!(
        audited(&world, "plugin.pinned"),
        [r#"{"plugin":"one","sight":"first_use"}"#]
    );

    let described = || fs::read_to_string(world.outside("described")).unwrap();
    let before = described();
    let mut told = Told::connect(&world, None).await;
    write_plugin(&plugins(&world), "one", "tell", "changed");
    let of_plugin = |tool: &Tool| tool.name.starts_with("one__");
    told.until(|tools| !tools.iter().any(of_plugin)).await;
    quarantined(&world, "one");
    let (code, message) = failure_of(&client.call("one__say", json!({})).await);
    assert_eq!(code, "plugin_quarantined");
    assert!(message.contains("smcp plugins accept one"), "{message}");
    let (code, _) = failure_of(&client.call("one__tell", json!({})).await);
    assert_eq!(code, "plugin_quarantined");
    assert_eq!(
        client.json("health", json!({})).await["catalogue"]["integrity"],
        json!({"changed": [], "quarantined": ["one"]})
    );
    assert_eq!(described(), before, "it was not even described");
    for tool in ["plugins__diff", "plugins__accept"] {
        let mut arguments = json!({"plugin": "one"});
        if tool == "plugins__accept" {
            arguments["digest"] = "0".repeat(64).into();
        }
        let (code, _) = failure_of(&client.call(tool, arguments).await);
        assert_eq!(code, "not_allowed", "{tool}");
    }

    let looked = world.smcp_json(&["plugins", "diff", "one"]);
    assert_eq!(looked["tools"]["added"][0]["name"], "one__tell");
    assert_eq!(looked["tools"]["removed"][0]["name"], "one__say");
    let digest = looked["digest"].as_str().unwrap();
    let accepted = world.smcp_json(&["plugins", "accept", "one", "--digest", digest]);
    assert_eq!(accepted["served"], true, "{accepted}");
    assert_eq!(accepted["integrity"], json!({"state": "accepted"}));
    told.until(|tools| tools.iter().any(of_plugin)).await;
    assert_eq!(said(&client, "one__tell").await, "changed");
    let (code, _) = failure_of(&client.call("one__say", json!({})).await);
    assert_eq!(code, "tool_removed");
    assert_eq!(audited(&world, "plugin.accepted"), [r#"{"plugin":"one"}"#]);
    assert_eq!(audited(&world, "plugin.quarantined").len(), 1);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_waits_to_be_accepted_and_what_was_looked_at_is_what_is_accepted() {
    let (world, _roles) = pinned("require");
    write_plugin(&plugins(&world), "two", "say", "harmless");
    quarantined(&world, "two");
    let looked = world.smcp_json(&["plugins", "diff", "two"]);
    assert_eq!(looked["accepted"], Value::Null);
    let digest = looked["digest"].as_str().unwrap();

    write_plugin(&plugins(&world), "two", "say", "harmful");
    eventually("the change has been noticed", || {
        let listed = listed(&world, "two");
        (listed["digest"] != digest).then_some(())
    });
    let refused = world.smcp(&["plugins", "accept", "two", "--digest", digest]);
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(
        said.contains("digest_changed") || said.contains("not what was looked at"),
        "{said}"
    );
    assert_eq!(audited(&world, "plugin.accepted"), [""; 0]);
    let client = world.client().await;
    let (code, message) = failure_of(&client.call("two__say", json!({})).await);
    assert_eq!(code, "plugin_quarantined");
    assert!(message.contains("is new"), "{message}");
    let missing = world.smcp(&["plugins", "diff", "three"]);
    assert!(text(&missing.stderr).contains("no plugin 'three'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waited_does_not_run_changed_code() {
    let (world, _roles) = pinned("require");
    let client = world.client().await;
    world.smcp_json(&["queues", "pause", "--plugin", "one"]);
    let waiting = client.submit("one__say", json!({})).await;
    write_plugin(&plugins(&world), "one", "say", "changed");
    quarantined(&world, "one");
    world.smcp_json(&["queues", "resume", "--plugin", "one"]);
    let job = client.ended(&waiting).await;
    assert_eq!(job["error"]["code"], "plugin_quarantined", "{job}");

    world.smcp_json(&["plugins", "accept", "one", "--yes"]);
    world.smcp_json(&["jobs", "retry", &waiting]);
    let job = client.ended(&waiting).await;
    assert_eq!(job["state"], "succeeded", "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_nobody_has_noticed_is_seen_before_the_plugin_is_run() {
    let (world, _roles) = pinned("require");
    let client = world.client().await;
    assert_eq!(said(&client, "one__say").await, "first");
    // Not watched, as Python itself writes there when somebody runs a plugin by hand.
    let compiled = plugins(&world).join("one/__pycache__");
    fs::create_dir(&compiled).unwrap();
    fs::write(compiled.join("more.pyc"), "x").unwrap();
    let (code, _) = failure_of(&client.call("one__say", json!({})).await);
    assert_eq!(code, "plugin_quarantined");
    quarantined(&world, "one");
    fs::remove_dir_all(compiled).unwrap();
    world.smcp_json(&["plugins", "reload"]);
    assert_eq!(said(&client, "one__say").await, "first", "as accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_warnings_a_changed_plugin_is_served_and_said_to_have_changed() {
    let (world, roles) = pinned("warn");
    let client = world.client().await;
    write_plugin(&plugins(&world), "one", "say", "changed");
    write_plugin(&plugins(&world), "two", "say", "new");
    eventually("the change is told", || {
        let listed = listed(&world, "one");
        (listed["integrity"]["state"] == "changed").then_some(())
    });
    assert_eq!(said(&client, "one__say").await, "changed");
    eventually("the new one is there", || {
        (listed(&world, "two")["integrity"]["state"] == "accepted").then_some(())
    });
    let problems = listed(&world, "one")["problems"].to_string();
    assert!(
        problems.contains("has changed since it was accepted"),
        "{problems}"
    );
    world.wait_for_log("a plugin has changed since it was accepted", 1);
    assert_eq!(audited(&world, "plugin.changed").len(), 1);

    drop(roles);
    // The same files, now that acceptance is required.
    let mut world = world.with("SMCP_PLUGINS_PIN", "require");
    let _roles = [world.api(), world.worker()];
    quarantined(&world, "one");
    let client = world.client().await;
    assert_eq!(said(&client, "two__say").await, "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_program_brings_is_accepted_and_what_was_made_of_it_is_not() {
    let world = World::new()
        .with_plugins("")
        .with("SMCP_PLUGINS_PIN", "require");
    let (world, [api, worker]) = world.started();
    let bundled =
        |replaced: &str| format!(r#"{{"plugin":"demo_math","sight":"bundled"{replaced}}}"#);
    assert!(audited(&world, "plugin.pinned").contains(&bundled("")));
    worker.kill();
    // As another version of the program has left it.
    let sql = world.sql();
    let older = "UPDATE pins SET digest = 'older' WHERE plugin = 'demo_math'";
    sql.execute(older, []).unwrap();
    let _worker = world.worker();
    eventually("it is accepted anew", || {
        let pinned = audited(&world, "plugin.pinned");
        (pinned
            .iter()
            .filter(|record| **record == bundled(""))
            .count()
            == 2)
            .then_some(())
    });
    let client = world.client().await;
    assert_eq!(
        listed(&world, "demo_math")["integrity"]["state"],
        "accepted"
    );

    let cli = world.path("plugins/demo_math/cli.py");
    let changed = fs::read_to_string(&cli).unwrap() + "\n# more\n";
    fs::write(&cli, changed).unwrap();
    quarantined(&world, "demo_math");
    let call = client.call("demo_math__calculate", json!({"expression": "1+1"}));
    assert_eq!(failure_of(&call.await).0, "plugin_quarantined");
    drop(api);
}

#[test]
fn in_a_pipe_nothing_is_accepted_unasked() {
    let (world, _roles) = pinned("require");
    write_plugin(&plugins(&world), "one", "say", "changed");
    quarantined(&world, "one");
    let asked = world.smcp(&["plugins", "accept", "one"]);
    assert_eq!(asked.status.code(), Some(2));
    let (shown, advice) = (text(&asked.stdout), text(&asked.stderr));
    assert!(shown.contains("1 tool changed\n~ one__say\n"), "{shown}");
    assert!(
        shown.contains(r#"description: "first" → "changed""#),
        "{shown}"
    );
    assert!(advice.contains("add --yes, or --digest "), "{advice}");
    assert_eq!(audited(&world, "plugin.accepted"), [""; 0]);

    let done = world.smcp(&["plugins", "accept", "one", "--yes"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).ends_with("\none is accepted, and served\n"));
    let again = world.smcp(&["plugins", "accept", "one"]);
    assert!(again.status.success());
    assert!(text(&again.stdout).ends_with("It is what was accepted.\n"));
}

/// A world with one plugin, `one`, that was accepted at first use.
fn pinned(pin: &str) -> (World, [Role; 2]) {
    let world = World::new().with("SMCP_PLUGINS_PIN", pin);
    let plugins = plugins(&world);
    fs::create_dir(&plugins).unwrap();
    write_plugin(&plugins, "one", "say", "first");
    world.with_plugins(plugins.display().to_string()).started()
}

fn plugins(world: &World) -> PathBuf {
    world.path("plugins")
}

async fn said(client: &Client, tool: &'static str) -> String {
    text_of(&client.call(tool, json!({})).await)
}

fn listed(world: &World, plugin: &str) -> Value {
    let mut listing = world.smcp_json(&["plugins", "list"]);
    let plugins = listing["plugins"].as_array_mut().unwrap();
    let listed = plugins.iter_mut().find(|listed| listed["name"] == plugin);
    listed.map(Value::take).unwrap_or_default()
}

fn quarantined(world: &World, plugin: &str) {
    eventually("the plugin is quarantined", || {
        (listed(world, plugin)["integrity"]["state"] == "quarantined").then_some(())
    });
}

/// The audit records of a kind, without the digests.
fn audited(world: &World, kind: &str) -> Vec<String> {
    let sql = world.sql();
    let mut records = sql
        .prepare("SELECT json_remove(data, '$.digest', '$.replaced') FROM audit WHERE kind = ?1 ORDER BY seq")
        .unwrap();
    let records = records.query_map([kind], |row| row.get(0)).unwrap();
    records.map(Result::unwrap).collect()
}
