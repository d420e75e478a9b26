//! Bad input gets a clear error: messages, methods, tools and arguments.

use serde_json::{Value, json};

use crate::http::{Session, TRANSPORTS, Transport};
use crate::world::World;

const JSON_RPC_PARSE_ERROR: i64 = -32700;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_are_refused_and_the_session_goes_on() {
    let (world, _roles) = World::running();
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        for body in [
            "{",
            "",
            "[]",
            "7",
            "{\"jsonrpc\": \"2.0\"}",
            "\u{0}",
            "{\"a\": \"\\ud800\"}",
        ] {
            let reply = session.post(body).await;
            assert_eq!(reply.status, 400, "{body:?}: {reply:?}");
            assert!(!reply.body.is_empty(), "{body:?} gets no reason");
        }
        let reply = session.post("{\"jsonrpc\": \"2.0\", \"id\": 1,").await;
        match transport {
            Transport::StreamableHttp => {
                assert_eq!(reply.json()["error"]["code"], JSON_RPC_PARSE_ERROR);
                assert!(reply.body.contains("is not JSON"), "{}", reply.body);
            }
            Transport::Sse => assert!(
                reply
                    .body
                    .starts_with("Could not parse message: the body is not JSON"),
                "{}",
                reply.body
            ),
        }
        let health = session.call("health", json!({})).await;
        assert_eq!(health["structuredContent"]["status"], "healthy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_methods_and_tools_are_named() {
    let (world, _roles) = World::running();
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        let unknown = session.ask("tools/destroy", json!({})).await;
        assert_eq!(unknown["error"]["code"], METHOD_NOT_FOUND, "{unknown}");
        assert_eq!(
            unknown["error"]["message"],
            "there is no method tools/destroy"
        );

        for params in [
            json!({"name": 7}),
            json!({"name": "health", "arguments": "none"}),
            json!({"arguments": {}}),
        ] {
            let refused = session.ask("tools/call", params.clone()).await;
            assert_eq!(
                refused["error"]["code"], INVALID_PARAMS,
                "{params}: {refused}"
            );
        }

        let refused = session.ask("resources/read", json!({"uri": 7})).await;
        assert_eq!(refused["error"]["code"], INVALID_PARAMS, "{refused}");
        assert_eq!(
            refused["error"]["message"],
            "resources/read takes params {\"uri\": string}"
        );

        for (tool, advice) in [
            ("demo_math__divine", "there are: demo_math__calculate"),
            (
                "nobody__nothing",
                "tools/list names the tools that there are",
            ),
            ("health__", "tools/list names the tools that there are"),
            ("", "tools/list names the tools that there are"),
        ] {
            let refused = session.call(tool, json!({})).await;
            assert_eq!(refused["isError"], true);
            let error = &refused["structuredContent"]["error"];
            assert_eq!(error["code"], "unknown_tool");
            let message = error["message"].as_str().unwrap();
            assert!(
                message.starts_with(&format!("There is no tool '{tool}'; {advice}")),
                "{message}"
            );
            assert_eq!(refused["content"][0]["text"], message);
        }
    }
    assert_eq!(world.smcp_json(&["jobs", "list"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_do_not_fit_are_named_and_leave_no_job() {
    let (world, _roles) = World::running();
    let rows: [(&str, Value, &[&str]); 12] = [
        (
            "demo_text__echo",
            json!({"prefix": "a"}),
            &["\"message\" is a required property"],
        ),
        (
            "demo_text__echo",
            json!({"message": null}),
            &["\"message\" is a required property"],
        ),
        (
            "demo_text__echo",
            json!({"message": "a", "c": 3}),
            &["'c' was unexpected", "parameters are: message, prefix"],
        ),
        (
            "demo_math__calculate",
            json!({"a": "one"}),
            &["argument 'a'", "not of type \"number\""],
        ),
        (
            "demo_math__calculate",
            json!({"a": {"secret": 1}}),
            &["argument 'a'", "not of type \"number\""],
        ),
        (
            "awkward__argv",
            json!({"count": 1.5}),
            &["argument 'count'", "not of type \"integer\""],
        ),
        (
            "awkward__argv",
            json!({"count": 101}),
            &["argument 'count'", "greater than the maximum of 100"],
        ),
        (
            "awkward__argv",
            json!({"level": "middle"}),
            &["argument 'level'", "\"low\"", "\"high\""],
        ),
        (
            "awkward__argv",
            json!({"people": [{"name": "Ada"}, {"age": 1}]}),
            &["argument 'people.1'", "\"name\" is a required property"],
        ),
        (
            "awkward__argv",
            json!({"text": 7, "count": "7"}),
            &["argument 'text'", "argument 'count'"],
        ),
        ("jobs__get", json!({}), &["\"id\" is a required property"]),
        (
            "jobs__list",
            json!({"limit": 0}),
            &["argument 'limit'", "less than the minimum of 1"],
        ),
    ];
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        for (tool, arguments, expected) in &rows {
            let refused = session.call(tool, arguments.clone()).await;
            let error = &refused["structuredContent"]["error"];
            assert_eq!(
                (&refused["isError"], &error["code"]),
                (&json!(true), &json!("invalid_arguments")),
                "{arguments}"
            );
            let message = error["message"].as_str().unwrap();
            for part in [&[*tool], *expected].concat() {
                assert!(message.contains(part), "{message} lacks {part}");
            }
            assert!(
                !message.contains("secret"),
                "values may be secrets: {message}"
            );
        }
    }
    assert_eq!(world.smcp_json(&["jobs", "list"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_of_10_mb_is_refused_at_the_door() {
    let (world, _roles) = World::running();
    let text = "x".repeat(10 * 1024 * 1024);
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        let body = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call",
            "params": {"name": "demo_text__echo", "arguments": {"message": text}}});
        let reply = session.post(body.to_string()).await;
        assert_eq!(reply.status, 413);
        let problem = reply.json();
        assert_eq!(problem["code"], "body_too_large");
        assert_eq!(
            problem["message"],
            "the request body is larger than the limit of 4194304 bytes (max_body_bytes)"
        );
        assert_eq!(
            session.call("health", json!({})).await["isError"],
            false,
            "the session goes on"
        );
    }
    assert_eq!(world.smcp_json(&["jobs", "list"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_argument_of_half_a_mb_is_more_than_a_command_line_takes() {
    let (world, _roles) = World::running();
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        let refused = session
            .call("awkward__argv", json!({"text": "x".repeat(512 * 1024)}))
            .await;
        assert_eq!(refused["isError"], true);
        let error = &refused["structuredContent"]["error"];
        assert_eq!(error["code"], "invalid_arguments");
        assert_eq!(
            error["message"],
            "argument 'text' has 524288 bytes on the command line; the limit is 131071"
        );
    }
    for job in world.smcp_json(&["jobs", "list"]).as_array().unwrap() {
        assert_eq!(job["state"], "failed");
        assert_eq!(job["error"]["code"], "invalid_arguments");
    }
}
