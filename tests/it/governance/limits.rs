//! Limits of rules.

use serde_json::json;

use super::Governed;
use crate::world::failure_of;

const RULES: &str = r#"
@id("two-an-hour")
@rate("2/1h")
permit (principal in Smcp::Group::"dev", action == Smcp::Action::"devops__status", resource);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn limits_over_the_real_api() {
    let mut governed = Governed::new(
        &[("ada", &["dev"]), ("bob", &["dev"])],
        &[("limits.cedar", RULES)],
    );
    let left = async |governed: &Governed, agent: &str| {
        let told = governed.asked(agent, "devops__status", &json!({})).await;
        assert_eq!(told["decision"], "allow", "{told}");
        told["limits"][0].clone()
    };
    assert_eq!(
        left(&governed, "ada").await,
        json!({"rule": "two-an-hour", "limit": "2 calls within 1 h", "used": 0, "allowed": 2, "frees_at": null})
    );
    let (ada, bob) = (governed.client("ada").await, governed.client("bob").await);
    for _ in 0..2 {
        ada.json("devops__status", json!({})).await;
    }
    let refused = ada.call("devops__status", json!({})).await;
    let (code, message) = failure_of(&refused);
    let error = refused.structured_content.unwrap()["error"].take();
    let frees_at = error["frees_at"].as_str().unwrap();
    let seconds = error["retry_after_s"].as_u64().unwrap();
    assert_eq!(code, "limit_exceeded");
    assert_eq!(
        message,
        format!(
            "Rule 'two-an-hour' allows 2 calls within 1 h; the next is possible at {frees_at}, in {seconds} s. Nothing has been run."
        )
    );
    assert!((3_000..=3_600).contains(&seconds), "{message}");
    let (code, _) = failure_of(
        &ada.call("jobs__submit", json!({"tool": "devops__status"}))
            .await,
    );
    assert_eq!(code, "limit_exceeded");
    let used = left(&governed, "ada").await;
    assert_eq!(
        (&used["used"], &used["frees_at"]),
        (&json!(2), &json!(frees_at))
    );

    // It is each agent's own, and asking uses nothing.
    for _ in 0..3 {
        assert_eq!(left(&governed, "bob").await["used"], 0);
    }
    bob.json("devops__status", json!({})).await;
    assert_eq!(left(&governed, "bob").await["used"], 1);

    drop((ada, bob, governed.api.take()));
    governed.api = Some(governed.world.api());
    let (ada, bob) = (governed.client("ada").await, governed.client("bob").await);
    let (again, message) = failure_of(&ada.call("devops__status", json!({})).await);
    assert_eq!(again, "limit_exceeded");
    assert!(message.contains(frees_at), "{message}");
    bob.json("devops__status", json!({})).await;
    let (code, _) = failure_of(&bob.call("devops__status", json!({})).await);
    assert_eq!(code, "limit_exceeded");
    governed.world.assert_sound();
}
