//! What a plugin gets for the arguments of a call: the rows R1 to R11 of the original's behaviour, over the wire, and
//! its defects, which we do not have.

use serde_json::{Value, json};

use crate::http::{Session, Transport};
use crate::world::{World, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn every_argument_is_rendered_as_the_original_did() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    // A default is filled in where nothing is given: `style` is always there.
    let rows: [(&str, Value, &[&str]); 29] = [
        ("defaults", json!({}), &[]),
        (
            "R1 underscores",
            json!({"dry_run_id": "a_b"}),
            &["--dry-run-id", "a_b"],
        ),
        (
            "R1 and D6 hyphens",
            json!({"dry-run-id": "x"}),
            &["--dry-run-id", "x"],
        ),
        (
            "R1 both spellings",
            json!({"dry-run-id": null, "dry_run_id": "second"}),
            &["--dry-run-id", "second"],
        ),
        (
            "R2 null",
            json!({"text": null, "count": null, "tags": null}),
            &[],
        ),
        ("R3 true", json!({"spoken": true}), &["--spoken", "true"]),
        ("R3 false", json!({"spoken": false}), &["--spoken", "false"]),
        (
            "R4 flags",
            json!({"flag": true, "flag_style": true, "valueless": true}),
            &["--flag", "--flag-style", "--valueless"],
        ),
        (
            "R4 no flags",
            json!({"flag": false, "flag_style": false, "valueless": false}),
            &[],
        ),
        ("R5 one value", json!({"tags": "a"}), &["--tags", "a"]),
        (
            "R5 and D7 item",
            json!({"tags": {"item": ["a", "b"]}}),
            &["--tags", "a", "--tags", "b"],
        ),
        (
            "R5 and D7 one item",
            json!({"tags": {"item": "a"}}),
            &["--tags", "a"],
        ),
        (
            "R5 one object",
            json!({"people": {"name": "Ada"}}),
            &["--people", r#"[{"name":"Ada"}]"#],
        ),
        (
            "R6 object",
            json!({"settings": {"k": "é", "n": [1, null]}}),
            &["--settings", r#"{"k":"\u00e9","n":[1,null]}"#],
        ),
        (
            "R6 empty object",
            json!({"settings": {}}),
            &["--settings", "{}"],
        ),
        (
            "R7 and D7 array of objects",
            json!({"people": [{"name": "Ada", "age": 36}, {"name": "Bob"}]}),
            &["--people", r#"[{"name":"Ada","age":36},{"name":"Bob"}]"#],
        ),
        (
            "R7 and D7 objects in item",
            json!({"people": {"item": [{"name": "Ada"}]}}),
            &["--people", r#"[{"name":"Ada"}]"#],
        ),
        (
            "R8 list",
            json!({"tags": ["a", "b c", ""]}),
            &["--tags", "a", "--tags", "b c", "--tags", ""],
        ),
        ("R8 empty list", json!({"tags": []}), &[]),
        ("R10 integer", json!({"count": 7}), &["--count", "7"]),
        ("R10 whole float", json!({"count": 7.0}), &["--count", "7"]),
        ("R10 float", json!({"ratio": 1.0}), &["--ratio", "1.0"]),
        (
            "R10 large float",
            json!({"ratio": 1e21}),
            &["--ratio", "1e+21"],
        ),
        (
            "R10 small float",
            json!({"ratio": 0.1}),
            &["--ratio", "0.1"],
        ),
        (
            "R10 text",
            json!({"text": "ünïcödé \"quoted\" $HOME `id` ; |\n\t"}),
            &["--text", "ünïcödé \"quoted\" $HOME `id` ; |\n\t"],
        ),
        ("R10 empty text", json!({"text": ""}), &["--text", ""]),
        (
            "R11 no flag by injection",
            json!({"text": "--flag"}),
            &["--text=--flag"],
        ),
        (
            "R11 in a list",
            json!({"tags": ["-x", "y"]}),
            &["--tags=-x", "--tags", "y"],
        ),
        (
            "no type is text",
            json!({"untyped": "7"}),
            &["--untyped", "7"],
        ),
    ];
    for (row, arguments, expected) in rows {
        let answer = client.call("awkward__argv", arguments).await;
        let argv: Vec<String> =
            serde_json::from_str(&text_of(&answer)).unwrap_or_else(|_| panic!("{row}: {answer:?}"));
        let default = ["--style", "plain"];
        let at = argv
            .windows(2)
            .position(|pair| pair == default)
            .unwrap_or_else(|| panic!("{row}: {argv:?}"));
        let others: Vec<_> = argv[..at].iter().chain(&argv[at + 2..]).collect();
        assert_eq!(others, expected.iter().collect::<Vec<_>>(), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_order_and_a_given_default_count() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let answer = client
        .call(
            "awkward__argv",
            json!({"style": "bold", "count": 1, "text": "a"}),
        )
        .await;
    assert_eq!(
        text_of(&answer),
        r#"["--text", "a", "--count", "1", "--style", "bold"]"#
    );
    let nothing_lost = json!({"value": {"deep": [{"é": [1, 2.5, true, null, "x"]}], "big": 9_007_199_254_740_993_i64}});
    let echoed = client
        .call("awkward__echo-json", nothing_lost.clone())
        .await;
    assert_eq!(
        serde_json::from_str::<Value>(&text_of(&echoed)).unwrap(),
        nothing_lost["value"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_dot_means_the_same_tool() {
    let (world, _roles) = World::running();
    for transport in [Transport::Sse, Transport::StreamableHttp] {
        let mut session = Session::open(&world, transport).await;
        let sum = json!({"operation": "add", "a": 1, "b": 2});
        let answer = session.call("demo_math.calculate", sum).await;
        assert_eq!(answer["isError"], false, "{answer}");
        assert!(
            answer["content"][0]["text"]
                .as_str()
                .unwrap()
                .contains("\"result\": 3")
        );
    }
    let jobs = world.smcp_json(&["jobs", "list"]);
    assert_eq!(jobs[0]["tool"], "demo_math__calculate");
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_are_too_large_are_refused_with_both_sizes() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let value = |bytes: usize| json!({"value": {"text": "x".repeat(bytes)}});
    let frame = value(0).to_string().len();
    let most = 1024 * 1024;
    let answer = client
        .call("awkward__echo-json", value(most + 1 - frame))
        .await;
    let error = &answer.structured_content.as_ref().unwrap()["error"];
    assert_eq!(answer.is_error, Some(true));
    assert_eq!(
        (&error["code"], &error["bytes"], &error["max_bytes"]),
        (
            &json!("arguments_too_large"),
            &json!(most + 1),
            &json!(most)
        )
    );
    assert_eq!(world.smcp_json(&["jobs", "list"]), json!([]));
    let submit = json!({"tool": "awkward__echo-json", "arguments": value(most - frame)});
    let submitted = client.call("jobs__submit", submit).await;
    assert_eq!(submitted.is_error, Some(false), "{submitted:?}");
}
