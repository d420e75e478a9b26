//! What runs for an agent later asks the rules then, and not when it was made.

use serde_json::{Value, json};

use super::Governed;
use crate::naps::Naps;
use crate::workflows::ended;
use crate::world::eventually;

const RULES: &str = r#"
@id("dev-looks")
permit (principal in Smcp::Group::"dev", action in [Smcp::Action::"devops__status", Smcp::Action::"sleepy__nap"], resource);

@id("frozen")
@message("Ann thaws them.")
forbid (principal in Smcp::Group::"frozen", action == Smcp::Action::"devops__status", resource);
"#;

const FORBIDDEN: &str =
    "'sam' may not call devops__status like this: rule frozen forbids it. Ann thaws them.";

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_whose_owner_has_lost_its_right_is_refused_at_its_next_tick() {
    let governed = Governed::new(&[("sam", &["dev"])], &[("rules.cedar", RULES)]);
    let client = governed.client("sam").await;
    let often = json!({"name": "often", "cron": "* * * * * *", "tool": "devops__status"});
    client.json("schedules__create", often).await;
    wait_for_tick(&governed, "submitted", 0);

    governed.groups("sam", ["--add", "frozen"]);
    let lost = wait_for_tick(&governed, "refused", 0);
    governed.groups("sam", ["--remove", "frozen"]);
    wait_for_tick(&governed, "submitted", lost);
    client
        .json("schedules__pause", json!({"id": "often"}))
        .await;
    let shown = client.json("schedules__get", json!({"id": "often"})).await;
    let ticks = shown["ticks"].as_array().unwrap();
    let refused: Vec<_> = ticks
        .iter()
        .filter(|tick| tick["outcome"] == "refused")
        .collect();
    for tick in &refused {
        assert_eq!(
            (&tick["detail"], &tick["job"]),
            (&json!(FORBIDDEN), &Value::Null)
        );
    }
    assert!(!refused.is_empty(), "{shown}");
    assert_eq!(
        denials(&governed),
        vec!["schedule not_allowed [\"frozen\"]"; refused.len()]
    );
    governed.world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_a_workflow_whose_owner_has_lost_its_right_is_refused() {
    let governed = Governed::new(&[("sam", &["dev"])], &[("rules.cedar", RULES)]);
    let (client, naps) = (governed.client("sam").await, Naps::of(&governed.world));
    let steps = json!({"steps": [
        {"id": "first", "tool": "sleepy__nap", "arguments": naps.until_open("first")},
        {"id": "then", "tool": "devops__status", "needs": ["first"]},
    ]});
    let submitted = client.json("workflows__submit", steps).await;
    naps.started("first");
    governed.groups("sam", ["--add", "frozen"]);
    naps.open();
    let workflow = ended(&client, submitted["id"].as_str().unwrap()).await;
    assert_eq!(workflow["state"], "failed", "{workflow}");
    let (first, then) = (&workflow["steps"][0], &workflow["steps"][1]);
    assert_eq!(
        (&first["state"], &then["state"]),
        (&json!("succeeded"), &json!("failed"))
    );
    let message = format!("Step 'then' cannot run. {FORBIDDEN}");
    assert_eq!(
        (&then["error"]["code"], &then["error"]["message"]),
        (&json!("not_allowed"), &json!(message))
    );
    // Recorded when the step has been settled.
    eventually("the denial is recorded", || {
        (denials(&governed) == ["workflow not_allowed [\"frozen\"]"]).then_some(())
    });
    governed.world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_waited_is_held_to_what_rules_ask_for_when_it_begins() {
    let rules = r#"
@id("dev-naps")
permit (principal in Smcp::Group::"dev", action in [Smcp::Action::"sleepy__held-nap", Smcp::Action::"sleepy__nap"], resource);
"#;
    let governed = Governed::new(&[("sam", &["dev"])], &[("rules.cedar", rules)]);
    let (client, naps) = (governed.client("sam").await, Naps::of(&governed.world));
    client
        .submit("sleepy__held-nap", naps.until_open("first"))
        .await;
    naps.started("first");
    let waits = client
        .submit("sleepy__nap", naps.lasting(120.0, "second"))
        .await;
    let brief = rules.replace("permit (", "@timeout(\"1s\")\npermit (");
    governed.write("rules.cedar", &brief);
    eventually("the rules are in force", || {
        (governed.in_force()[0]["text"] == *brief).then_some(())
    });
    naps.open();
    let ended = client.ended(&waits).await;
    assert_eq!(ended["error"]["code"], "timeout", "{ended}");
    governed.world.assert_sound();
}

/// Waits for a tick of that outcome after that one, and answers it.
fn wait_for_tick(governed: &Governed, outcome: &str, after: i64) -> i64 {
    eventually(&format!("a tick is {outcome}"), || {
        let sql = governed.world.sql();
        let tick = "SELECT max(tick) FROM schedule_ticks WHERE outcome = ?1 AND tick > ?2";
        sql.query_row(tick, (outcome, after), |row| row.get(0)).ok()
    })
}

/// What has been denied: by which way, why, and by which rules.
fn denials(governed: &Governed) -> Vec<String> {
    let sql = governed.world.sql();
    let mut denials = sql
        .prepare("SELECT data ->> '$.via' || ' ' || (data ->> '$.code') || ' ' || (data ->> '$.rules') FROM audit WHERE kind = 'call.denied' ORDER BY seq")
        .unwrap();
    let denials = denials.query_map([], |row| row.get(0)).unwrap();
    denials.map(Result::unwrap).collect()
}
