//! The audit chain from outside: signed, anchored, exported, and verified with the public key alone.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::naps::Naps;
use crate::world::{Role, World, eventually, failure_of, text};

/// A world that signs each record as soon as it can, with that anchor.
fn signing(anchor: &str) -> (World, [Role; 2]) {
    let world = World::new();
    world.configure(&format!("[audit]\n{anchor}\n"));
    let (world, roles) = world.started();
    let set = world.smcp(&["settings", "set", "audit.checkpoint_records", "1"]);
    assert!(set.status.success());
    (world, roles)
}

impl World {
    /// Waits until all that has been recorded is signed.
    fn all_signed(&self) {
        eventually("everything is signed", || {
            let left =
                "SELECT (SELECT max(seq) FROM audit) = (SELECT max(seq) FROM audit_checkpoints)";
            let is_done: Option<bool> = self.sql().query_row(left, [], |row| row.get(0)).unwrap();
            is_done.filter(|is_done| *is_done)
        });
    }

    /// What `smcp audit verify` says, and its exit code.
    fn verify(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.smcp(&[&["audit", "verify"], arguments].concat());
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    }
}

/// The public key of another SMCP.
fn strangers_key() -> String {
    let directory = tempfile::tempdir().unwrap();
    let signer = smcp_common::audit::Signer::read_or_make(directory.path()).unwrap();
    signer.public().to_string()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_called_can_be_verified_without_a_server_and_every_change_is_found() {
    let (world, [api, worker]) = signing("anchor_file = \"anchors.jsonl\"");
    let client = world.client().await;
    let sum = json!({"expression": "6*7"});
    client.call("demo_math__calculate", sum).await;
    world.all_signed();
    let export = world.path("audit.jsonl");
    let out = world.smcp(&["audit", "export", "--out", path(&export)]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let again = world.smcp(&["audit", "export", "--out", path(&export)]);
    assert_eq!(
        again.status.code(),
        Some(2),
        "an existing file is left alone"
    );
    let agent = world.smcp_json(&["agents", "add", "ci"]);
    let key = agent["key"].as_str().unwrap();
    let nothing = world.path("nothing.jsonl");
    let arguments = ["audit", "export", "--out", path(&nothing), "--api-key", key];
    let refused = world.smcp(&arguments);
    assert!(!refused.status.success() && !nothing.exists());

    let found = world.smcp_json(&["audit", "search", "--kind", "job.queued"]);
    assert_eq!(found[0]["data"]["arguments"], json!({"expression": "6*7"}));
    assert_eq!(found[0]["data"]["via"], "call");
    assert_eq!(found[0]["data"]["transport"], "streamable_http");
    let said = text(&world.smcp(&["audit", "tail"]).stdout);
    assert!(
        said.contains("job.queued") && said.contains("6*7"),
        "{said}"
    );
    let cef = text(&world.smcp(&["audit", "export", "--format", "cef"]).stdout);
    assert!(
        cef.lines().all(|line| line.starts_with("CEF:0|SMCP|smcp|")),
        "{cef}"
    );
    assert!(cef.contains("|job.queued|"), "{cef}");
    let verified = world.smcp(&["call", "audit__verify", "--json"]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));

    for role in [api, worker] {
        role.terminate();
        assert_eq!(role.wait(), Some(0));
    }
    let key = world.data().join("audit-signing.pub");
    let (code, said) = world.verify(&[]);
    assert_eq!((code, said.contains("(signed)")), (Some(0), true), "{said}");
    let (code, said) = world.verify(&[path(&export), "--key", path(&key)]);
    assert_eq!((code, said.contains("(signed)")), (Some(0), true), "{said}");

    let whole = fs::read_to_string(&export).unwrap();
    let tampered = world.path("tampered.jsonl");
    let broken = |text: &str, arguments: &[&str]| {
        fs::write(&tampered, text).unwrap();
        let (code, said) =
            world.verify(&[&[path(&tampered), "--key", path(&key)], arguments].concat());
        assert_eq!(code, Some(1), "{said}");
        said
    };
    let seq = found[0]["seq"].as_i64().unwrap();
    let said = broken(&whole.replace("6*7", "6*9"), &[]);
    assert!(
        said.contains(&format!("record {seq}: does not match its hash")),
        "{said}"
    );
    let said = broken(&whole[..whole.len() - 9], &[]);
    assert!(
        said.contains("the file ends in the middle of its line"),
        "{said}"
    );
    let head: String = whole.split_inclusive('\n').take(2).collect();
    let kept = world.path("anchors.jsonl");
    let said = broken(&head, &["--anchor", path(&kept)]);
    assert!(said.contains("record 2: is missing"), "{said}");
    let (code, said) = world.verify(&[path(&export), "--key", &strangers_key()]);
    assert_eq!(
        (code, said.contains("which is not the one to verify with")),
        (Some(1), true),
        "{said}"
    );

    for arguments in [
        &["no-such-file"][..],
        &[path(&export), "--key", "no-such-key"],
        &[path(&key)],
        &[path(&export), "--anchor", path(&key)],
    ] {
        let (code, said) = world.verify(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_anchored_is_told_and_tried_again() {
    let world = World::new();
    let place = world.outside("place");
    let command = format!("cat >> {}/anchors", place.display());
    world.configure(&format!(
        "[audit]\nanchor_command = [\"/bin/sh\", \"-c\", {command:?}]\n"
    ));
    let (world, _roles) = world.started();
    let set = || world.smcp(&["settings", "set", "audit.checkpoint_records", "1"]);
    assert!(set().status.success());
    let health = || world.smcp_json(&["call", "health"]);
    let audit = |health: &Value| health["structuredContent"]["audit"].clone();
    eventually("the failure is told", || {
        let audit = audit(&health());
        audit["anchor_error"]
            .as_str()
            .is_some_and(|error| error.contains("exit status"))
            .then_some(())
    });
    fs::create_dir(&place).unwrap();
    let client = world.client().await;
    let anchored = || fs::read_to_string(place.join("anchors")).ok();
    // The next checkpoint is tried at once.
    client
        .call("demo_math__calculate", json!({"expression": "1+1"}))
        .await;
    let anchors = eventually("a checkpoint is anchored", anchored);
    assert!(
        anchors.starts_with("{\"at\":") && anchors.ends_with("}\n"),
        "{anchors}"
    );
    eventually("health tells that", || {
        let audit = audit(&health());
        (audit["anchor_error"].is_null() && audit["anchored"].is_i64()).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_not_run() {
    let (world, _roles) = World::running();
    let (client, naps) = (world.client().await, Naps::of(&world));
    world.smcp(&["queues", "pause", "--all"]);
    let waiting = client
        .submit("sleepy__nap", naps.lasting(0.0, "waiting"))
        .await;
    world
        .sql()
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON audit WHEN new.kind LIKE 'job.%' BEGIN SELECT RAISE(FAIL, 'no room'); END")
        .unwrap();
    let refused = client
        .call("sleepy__nap", naps.lasting(0.0, "refused"))
        .await;
    assert_eq!(refused.is_error, Some(true), "{}", failure_of(&refused).0);
    assert!(world.smcp(&["queues", "resume", "--all"]).status.success());
    world.wait_for_log("no room", 2);
    assert!(naps.told("refused", "start").is_empty() && naps.told("waiting", "start").is_empty());
    let state = client.json("jobs__get", json!({"id": waiting})).await["state"].clone();
    assert_eq!(state, "queued");
    world.sql().execute_batch("DROP TRIGGER full").unwrap();
    let ended = client.ended(&waiting).await;
    assert_eq!(ended["state"], "succeeded");
    world.assert_sound();
}
