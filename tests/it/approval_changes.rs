//! What was approved of is what runs: plugins and rules that change before a job begins.

use serde_json::json;

use crate::approvers::{People, RULES, approve, governed, waiting, word};
use crate::naps::Naps;
use crate::world::{Client, World, failure_of};

/// An approved job that cannot begin yet: its lane is taken until the naps' gate opens.
async fn held(world: &World, naps: &Naps, people: &People) -> (Client, String) {
    let ci = world.client_with_key(&people.ci).await;
    ci.submit("sleepy__held-nap", naps.until_open("first"))
        .await;
    naps.started("first");
    let second = ci.submit("sleepy__nap", naps.lasting(0.0, "second")).await;
    approve(world, &people.ann, &second, "queued");
    (ci, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plugin_is_not_what_was_approved_of() {
    let (world, _roles, people, naps) = governed(World::new().with_own_plugin());
    let (ci, job) = held(&world, &naps, &people).await;
    world.change_sleepy("# changed\n");
    naps.open();
    world.wait_for_state(&job, "awaiting_approval");
    assert_eq!(naps.told("second", "start").len(), 0, "nothing has begun");

    // It changes once more while the request waits: what is approved of must be what would run now.
    let seen = word(&waiting(&world), "digest");
    world.change_sleepy("# changed again\n");
    let ann = world.client_with_key(&people.ann).await;
    for arguments in [json!({"job": job}), json!({"job": job, "digest": seen})] {
        let refused = ann.call("approvals__approve", arguments).await;
        assert_eq!(failure_of(&refused).0, "approval_changed");
    }
    let now = word(&waiting(&world), "digest");
    assert_ne!(now, seen);
    let approved = ann.json("approvals__approve", json!({"job": job, "digest": now}));
    assert_eq!(approved.await, json!({"job": job, "state": "queued"}));
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(naps.told("second", "start").len(), 1);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_rules_ask_again() {
    let (world, _roles, people, naps) = governed(World::new());
    let (ci, job) = held(&world, &naps, &people).await;
    let more = r#"@id("more") permit (principal == Smcp::Agent::"eve", action == Smcp::Action::"sleepy__nap", resource);"#;
    world.govern(&format!("{RULES}\n{more}\n"));
    naps.open();
    world.wait_for_state(&job, "awaiting_approval");
    assert_eq!(naps.told("second", "start").len(), 0, "nothing has begun");
    approve(&world, &people.ann, &job, "queued");
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(naps.told("second", "start").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_mean_the_same_are_the_same() {
    let (world, _roles, people, naps) = governed(World::new());
    let (ci, job) = held(&world, &naps, &people).await;
    world.govern(&format!("// Asked for by the audit.\n{RULES}"));
    naps.open();
    assert_eq!(ci.ended(&job).await["state"], "succeeded");
    assert_eq!(world.recorded("approval.requested").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forbidden_since_is_not_run_although_it_was_approved_of() {
    let (world, _roles, people, naps) = governed(World::new());
    let (ci, job) = held(&world, &naps, &people).await;
    let forbid =
        r#"@id("freeze") forbid (principal, action == Smcp::Action::"sleepy__nap", resource);"#;
    world.govern(&format!("{RULES}\n{forbid}\n"));
    naps.open();
    let ended = ci.ended(&job).await;
    assert_eq!(
        (&ended["state"], &ended["error"]["code"]),
        (&json!("failed"), &json!("not_allowed")),
        "{ended}"
    );
    assert_eq!(naps.told("second", "start").len(), 0);
    let denied = world.recorded("call.denied");
    let denied = denied.last().unwrap();
    assert_eq!(denied["rules"], json!(["freeze"]), "{denied}");
}
