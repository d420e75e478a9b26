//! What is changed counts at once: the groups of agents, and rules, as long as they are no mistake.

use serde_json::{Value, json};

use super::{Governed, said};
use crate::http::Transport;
use crate::world::{eventually, failure_of};

const RULES: &str = r#"
@id("dev-deploys")
permit (principal in Smcp::Group::"dev", action == Smcp::Action::"devops__deploy", resource);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_an_agent_count_at_once() {
    let governed = Governed::new(&[("sam", &[])], &[("dev.cedar", RULES)]);
    let arguments = json!({"app_name": "web"});
    for (change, expected) in [
        (["--add", "dev"], "allow dev-deploys"),
        (["--remove", "dev"], "deny not_allowed"),
        (
            ["--add", "users"],
            "allow builtin:users-may-call-what-destroys-nothing",
        ),
        (["--add", "dev"], "allow dev-deploys"),
        (["--add", "operators"], "allow dev-deploys"),
        (
            ["--remove", "dev"],
            "allow builtin:operators-may-do-everything builtin:users-may-call-what-destroys-nothing",
        ),
    ] {
        governed.groups("sam", change);
        let told = governed.asked("sam", "devops__deploy", &arguments).await;
        assert_eq!(said(&told), expected, "after {change:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_file_counts_and_a_mistake_does_not() {
    let governed = Governed::new(&[("sam", &["dev"])], &[("dev.cedar", RULES)]);
    let decision = async || {
        let arguments = json!({"app_name": "web"});
        let told = governed.asked("sam", "devops__deploy", &arguments).await;
        (said(&told), told["policy"].clone())
    };
    let (first, hash) = decision().await;
    assert_eq!(first, "allow dev-deploys");
    let others = RULES.replace("permit (", "@requireApproval(\"ops\")\npermit (");
    governed.write("dev.cedar", &others);
    eventually("the saved rules are in force", || {
        (governed.in_force()[0]["text"] == *others).then_some(())
    });
    let (second, other) = decision().await;
    assert_eq!(second, "approval dev-deploys");
    assert_ne!(hash, other);

    let mistakes = [
        // No rule, an unknown annotation, an unknown tool, an argument that there is not, one that is no number.
        "permit (",
        "@id(\"x\") @rates(\"1/1h\") permit (principal, action, resource);",
        "@id(\"x\") permit (principal, action == Smcp::Action::\"devops__destroy\", resource);",
        "@id(\"x\") forbid (principal, action == Smcp::Action::\"devops__deploy\", resource) when { context.input.amount > 3 };",
        "@id(\"x\") forbid (principal, action == Smcp::Action::\"devops__deploy\", resource) when { context.input.app_name > 3 };",
    ];
    for (times, mistake) in mistakes.iter().enumerate() {
        governed.write("more.cedar", mistake);
        governed.world.wait_for_log(
            "the rules are refused; those that were in force stay",
            times + 1,
        );
        assert_eq!(
            decision().await,
            (second.clone(), other.clone()),
            "{mistake}"
        );
    }
    // What is right beside a mistake does not count either.
    governed.write("dev.cedar", RULES);
    governed.world.wait_for_log(
        "the rules are refused; those that were in force stay",
        mistakes.len() + 1,
    );
    assert_eq!(decision().await, (second, other));
    governed.write("more.cedar", "");
    eventually("the mended rules are in force", || {
        (governed.in_force()[0]["text"] == RULES).then_some(())
    });
    assert_eq!(decision().await, (first, hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_in_tool_cannot_be_tried_out_and_is_not_called() {
    let governed = Governed::new(&[("sam", &[])], &[("dev.cedar", RULES)]);
    for transport in [Transport::Sse, Transport::StreamableHttp] {
        let revoke = json!({"name": "agents__revoke", "arguments": {"name": "sam"}, "_meta": {"smcp/dry-run": true}});
        let told = governed.call(transport, "operator", revoke).await;
        assert_eq!(told["error"]["code"], "invalid_arguments", "{told}");
    }
    let sam = governed.client("sam").await;
    let submit = json!({"tool": "agents__list", "dry_run": true});
    let (code, _) = failure_of(&sam.call("jobs__submit", submit).await);
    assert_eq!(code, "invalid_arguments");
    let agents = governed.world.smcp_json(&["agents", "list"]);
    let sam = agents.as_array().unwrap().iter();
    let sam: Vec<&Value> = sam.filter(|agent| agent["name"] == "sam").collect();
    assert_eq!(sam[0]["keys"][0]["live"], true, "{agents}");
}
