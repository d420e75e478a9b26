//! What tools answer with: content of every kind, structured content that keeps its schema, and the parts of outputs
//! that are too long for an answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::ServiceError;
use rmcp::model::{
    CallToolResult, ContentBlock, ErrorCode, ReadResourceRequestParams, ResourceContents,
};
use serde_json::{Value, json};

use crate::http::{Session, TRANSPORTS, Transport};
use crate::world::{Client, World, failure_of, job_of, text, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_content_arrives() {
    let (world, _roles) = World::running();
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        let all = json!(["text", "image", "audio", "embedded", "binary", "link"]);
        let answer = session.call("content__blocks", json!({"kinds": all})).await;
        assert_eq!(answer["isError"], false);
        let of = |i: usize, key: &str| answer["content"][i][key].clone();
        assert_eq!(
            answer["content"][0],
            json!({"type": "text", "text": "words", "annotations": {"audience": ["user"], "priority": 0.5}})
        );
        assert_eq!(
            (of(1, "type"), of(1, "mimeType")),
            (json!("image"), json!("image/png"))
        );
        assert!(of(1, "data").as_str().unwrap().starts_with("iVBOR"));
        assert_eq!(
            of(3, "resource"),
            json!({"uri": "test://embedded", "mimeType": "text/plain", "text": "embedded words"})
        );
        assert_eq!(of(4, "resource")["blob"], of(1, "data"));
        if transport == Transport::Sse {
            // The session is one of 2024-11-05, which has neither audio nor links.
            let job = answer["_meta"]["smcp/job"].as_str().unwrap();
            let note = of(2, "text");
            assert!(note.as_str().unwrap().contains(job), "{note}");
            assert_eq!(of(5, "text"), "[linked: test://linked]");
        } else {
            assert_eq!(
                (of(2, "type"), of(2, "mimeType")),
                (json!("audio"), json!("audio/wav"))
            );
            assert_eq!(
                answer["content"][5],
                json!({"type": "resource_link", "uri": "test://linked", "name": "linked",
                       "mimeType": "text/plain", "size": 7})
            );
        }
    }
}

#[test]
fn the_python_client_which_checks_everything_takes_every_answer() {
    let (world, _roles) = World::running();
    let calls = json!([
        {"list": true},
        {"call": "content__blocks"},
        {"call": "content__counted", "arguments": {"printed": "{\"words\": 3}"}},
        {"call": "content__counted", "arguments": {"printed": "{\"words\": null}"}},
        {"call": "content__as-json", "arguments": {"printed": "[1]"}},
        {"call": "content__long-words", "arguments": {"bytes": 2_000_000}},
    ]);
    for transport in ["sse", "http"] {
        let answers = world.python(transport, &calls);
        let [_, _, blocks, counted, wrong, array, large] = answers.try_into().unwrap();
        assert_eq!(
            (&blocks["is_error"], &blocks["text"]),
            (&json!(false), &json!("words"))
        );
        assert_eq!(counted["structured"], json!({"words": 3}));
        assert_eq!(wrong["structured"]["error"]["code"], "invalid_output");
        assert_eq!(
            (&array["text"], &array["structured"]),
            (&json!("[1]"), &json!(null))
        );
        assert_eq!(large["structured"]["error"]["code"], "output_too_large");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_result_is_passed_on_or_refused_with_what_is_wrong() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let said = async |document: Value| {
        let printed = json!({"printed": document.to_string()});
        client.call("content__as-mcp", printed).await
    };

    let full = said(json!({
        "content": [{"type": "text", "text": "done"}], "structuredContent": {"n": 1},
        "_meta": {"smcp/job": "forged", "smcp/excerpt": {}, "com.example/a": 1},
    }))
    .await;
    assert_eq!(
        (text_of(&full).as_str(), &full.structured_content),
        ("done", &Some(json!({"n": 1})))
    );
    assert_eq!(
        json!(full.meta),
        json!({"com.example/a": 1, "smcp/job": job_of(&full)})
    );
    assert_ne!(job_of(&full), "forged");

    // The process has succeeded, and so has the job; the answer is an error all the same.
    let failed = said(json!({"content": [{"type": "text", "text": "no"}], "isError": true})).await;
    assert_eq!(
        failure_of(&failed),
        ("plugin_error".to_owned(), "no".to_owned())
    );
    let job = client
        .json("jobs__get", json!({"id": job_of(&failed)}))
        .await;
    assert_eq!(
        (&job["state"], &job["result"]["is_error"]),
        (&json!("succeeded"), &json!(true))
    );

    let image = json!({"type": "image", "data": "aGk="});
    let (code, message) = failure_of(&said(json!({"content": [image]})).await);
    assert_eq!(code, "invalid_output");
    assert!(
        message.starts_with(
            "content__as-mcp ran and ended well, but did not print an MCP tool result, as it declares: \
             content[0].mimeType is missing. jobs__output with id "
        ),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn structured_content_keeps_its_schema_or_is_an_error_that_says_where_it_does_not() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let tools = client.0.list_all_tools().await.unwrap();
    let schema = |name: &str| {
        let tool = tools.iter().find(|tool| tool.name == name).unwrap();
        tool.output_schema.clone().map(|schema| json!(*schema))
    };
    let listed = schema("content__counted").unwrap();
    assert_eq!(
        (&listed["type"], &listed["$defs"]["count"]["minimum"]),
        (&json!("object"), &json!(0))
    );
    let listed = jsonschema::validator_for(&listed).unwrap();

    let call = async |tool, printed: &str| client.call(tool, json!({"printed": printed})).await;
    let mcp = |structured: &str| format!(r#"{{"content": [], "structuredContent": {structured}}}"#);
    let fine = call("content__counted", r#"{"words": 3}"#).await;
    assert_eq!(
        (text_of(&fine), fine.structured_content),
        (r#"{"words": 3}"#.to_owned(), Some(json!({"words": 3})))
    );
    let fine = call("content__counted-mcp", &mcp(r#"{"words": 3}"#)).await;
    assert_eq!(
        (text_of(&fine), fine.structured_content),
        (r#"{"words":3}"#.to_owned(), Some(json!({"words": 3})))
    );

    let wrong = r#"{"words": "secret", "n": 1}"#;
    for (tool, printed, expected) in [
        (
            "content__counted",
            wrong,
            r#"field 'words': value is not of type "integer""#,
        ),
        ("content__counted", wrong, "'n' was unexpected"),
        (
            "content__counted",
            "[3]",
            r#"value is not of type "object""#,
        ),
        (
            "content__counted",
            "three",
            "did not print JSON, as it declares: expected",
        ),
        (
            "content__counted-mcp",
            &mcp(wrong),
            r#"field 'words': value is not of type "integer""#,
        ),
        (
            "content__counted-mcp",
            r#"{"content": []}"#,
            "printed no structuredContent",
        ),
    ] {
        let answer = call(tool, printed).await;
        let (code, message) = failure_of(&answer);
        assert_eq!(code, "invalid_output", "{message}");
        assert!(
            message.contains(expected) && !message.contains("secret"),
            "{message}"
        );
        assert!(message.contains(&format!("jobs__output with id {}", job_of(&answer))));
        assert!(
            listed.is_valid(&answer.structured_content.unwrap()),
            "clients check errors, too"
        );
        let raw = client
            .json("jobs__output", json!({"id": job_of_message(&message)}))
            .await;
        assert_eq!(raw["text"].as_str().unwrap().trim(), printed);
    }
    let failed = client.call("content__fails", json!({})).await;
    assert_eq!(
        failure_of(&failed),
        ("plugin_error".to_owned(), "no words".to_owned())
    );
    assert!(listed.is_valid(&failed.structured_content.unwrap()));

    // Without a schema JSON of any kind is an answer; only as text where the client's revision knows no other.
    let array = call("content__as-json", "[1, 2]").await;
    assert_eq!(
        (array.is_error, text_of(&array), array.structured_content),
        (Some(false), "[1, 2]".to_owned(), None)
    );

    assert_eq!(schema("content__useless-schema"), None);
    let fine = call("content__useless-schema", "{}").await;
    assert_eq!(fine.is_error, Some(false));
    let plugins = client.json("plugins__list", json!({})).await;
    let plugins = plugins["plugins"].as_array().unwrap();
    let plugin = plugins
        .iter()
        .find(|plugin| plugin["name"] == "content")
        .unwrap();
    let problem = plugin["problems"][0].as_str().unwrap();
    assert!(
        problem.starts_with(
            "content__useless-schema is served without its output_schema, which cannot be used:"
        ),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_output_is_an_excerpt_with_a_link_that_is_read_by_range() {
    const BYTES: usize = 300 * 1024;
    let (world, _roles) = World::new().with("MCP_API_KEY", "secret").started();
    let client = world.client().await;
    let lines = (0..BYTES / 16).map(|line| format!("é{line:013}\n"));
    let printed = lines.collect::<Vec<_>>().concat();
    assert_eq!(printed.len(), BYTES);

    let answer = client
        .call("content__long-text", json!({"bytes": BYTES}))
        .await;
    assert_eq!(answer.is_error, Some(false));
    let (id, told) = (job_of(&answer), text_of(&answer));
    assert!(told.len() < 34 * 1024, "{}", told.len());
    let (head, tail) = told.split_once('[').unwrap();
    let (_note, tail) = tail.split_once("]\n").unwrap();
    assert!(head.len() > 20_000 && printed.starts_with(head));
    assert!(tail.len() > 6_000 && printed.trim_end().ends_with(tail));
    let ContentBlock::ResourceLink(link) = &answer.content[1] else {
        panic!("{:?}", answer.content[1]);
    };
    let uri = format!("smcp://jobs/{id}/output");
    assert_eq!((&link.uri, link.size), (&uri, Some(BYTES as u64)));
    assert_eq!(json!(answer.meta)["smcp/excerpt"]["total_bytes"], BYTES);

    let listed = client.0.list_all_resources().await.unwrap();
    assert_eq!(listed, std::slice::from_ref(link));
    let templates = client.0.list_all_resource_templates().await.unwrap();
    assert_eq!(
        templates[0].uri_template,
        "smcp://jobs/{id}/output{?offset,limit}"
    );

    // An odd limit, so that characters lie across the borders.
    assert!(whole(&client, &uri, 9_999).await == printed.as_bytes());
    let start = read(&client, &uri).await;
    assert_eq!(json!(start)["text"], printed[..65_536]);
    let bytes = client.call("content__long-bytes", json!({})).await;
    let raw = whole(
        &client,
        &format!("smcp://jobs/{}/output", job_of(&bytes)),
        50_000,
    )
    .await;
    assert!(raw == b"\xff\xfe\x00".repeat(40_000), "{}", raw.len());

    // To another agent there is no such job; the operator may read all.
    let other = world.client_with_key("secret").await;
    for (client, uri) in [
        (&other, uri.as_str()),
        (&client, "smcp://jobs/x/output"),
        (&client, "test://nothing"),
    ] {
        let error = client
            .0
            .read_resource(ReadResourceRequestParams::new(uri))
            .await;
        let Err(ServiceError::McpError(error)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(error.code, ErrorCode::RESOURCE_NOT_FOUND);
        assert_eq!(error.data, Some(json!({"uri": uri})));
    }
    assert_eq!(other.0.list_all_resources().await.unwrap(), []);
    let key = std::fs::read_to_string(world.path("operator.key")).unwrap();
    let operator = world.client_with_key(key.trim()).await;
    assert!(whole(&operator, &uri, 1_000_000).await == printed.as_bytes());
    let same = format!("{uri}?limit=0");
    let error = client
        .0
        .read_resource(ReadResourceRequestParams::new(same))
        .await;
    assert!(
        format!("{error:?}").contains("limit, from 1 to 1048576"),
        "{error:?}"
    );

    // What the command line prints into a file is complete.
    let called = world.smcp(&["call", "content__long-text", &format!("bytes={BYTES}")]);
    assert!(
        called.stdout == printed.as_bytes(),
        "{}",
        text(&called.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_too_long_is_shown_as_text() {
    const BYTES: usize = 1024 * 1024;
    let (world, _roles) = World::running();
    let client = world.client().await;
    let call = async |tool, bytes: usize| client.call(tool, json!({"bytes": bytes})).await;
    let whole = call("content__long-json", BYTES).await;
    assert_eq!(text_of(&whole).len(), BYTES);

    let cut = call("content__long-json", BYTES + 1).await;
    assert_eq!(
        (cut.is_error, &cut.structured_content),
        (Some(false), &None)
    );
    assert!(
        text_of(&cut)
            .contains("It is shown as text, since up to 1048576 bytes can be answered as json.")
    );
    assert_eq!(cut.content.len(), 2);

    // A client that was promised structured content refuses an answer without it, unless it is an error.
    let promised = call("content__long-words", BYTES + 1).await;
    assert_eq!(promised.is_error, Some(true));
    assert_eq!(code_of(&promised), "output_too_large");
    let called = world.smcp(&[
        "call",
        "content__long-words",
        &format!("bytes={}", BYTES + 1),
    ]);
    assert_eq!(
        (called.status.code(), called.stdout.len()),
        (Some(0), BYTES + 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_a_code_and_a_message() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    for (tool, arguments, expected) in [
        ("awkward__silent-fail", json!({}), "plugin_error"),
        ("awkward__suicide", json!({"signal": 9}), "plugin_error"),
        (
            "content__as-mcp",
            json!({"printed": "{}"}),
            "invalid_output",
        ),
        ("content__as-mcp", json!({}), "invalid_arguments"),
        (
            "content__as-mcp",
            json!({"printed": 1, "x": []}),
            "invalid_arguments",
        ),
        ("jobs__get", json!({}), "invalid_arguments"),
        ("jobs__get", json!({"id": "x"}), "invalid_arguments"),
        (
            "jobs__wait",
            json!({"id": [], "timeout_s": "x"}),
            "invalid_arguments",
        ),
        (
            "jobs__output",
            json!({"id": "x", "offset": -1}),
            "invalid_arguments",
        ),
        ("jobs__submit", json!({"tool": 7}), "invalid_arguments"),
        (
            "sanctum__tools",
            json!({"action": "fly"}),
            "invalid_arguments",
        ),
    ] {
        let answer = client.call(tool, arguments.clone()).await;
        assert_eq!(failure_of(&answer).0, expected, "{tool} {arguments}");
    }
    let id = client.submit("sleepy__nap", json!({"seconds": 60})).await;
    client.json("jobs__cancel", json!({"id": id})).await;
    let job = client.ended(&id).await;
    assert_eq!(job["result"]["structured"]["error"]["code"], "cancelled");
}

fn code_of(answer: &CallToolResult) -> &str {
    let structured = answer.structured_content.as_ref().unwrap();
    structured["error"]["code"].as_str().unwrap()
}

/// The id that a message names last.
fn job_of_message(message: &str) -> &str {
    let (_, id) = message.rsplit_once("jobs__output with id ").unwrap();
    id.split_once(' ').unwrap().0
}

async fn read(client: &Client, uri: &str) -> ResourceContents {
    let read = client
        .0
        .read_resource(ReadResourceRequestParams::new(uri))
        .await;
    let [contents] = read.unwrap().contents.try_into().unwrap();
    contents
}

/// All of a resource, range by range.
async fn whole(client: &Client, uri: &str, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let part = json!(
            read(
                client,
                &format!("{uri}?offset={}&limit={limit}", bytes.len())
            )
            .await
        );
        assert_eq!(
            (&part["mimeType"], &part["_meta"]["smcp/done"]),
            (&json!("text/plain"), &json!(true))
        );
        match part["text"].as_str() {
            Some(text) => bytes.extend(text.as_bytes()),
            None => bytes.extend(STANDARD.decode(part["blob"].as_str().unwrap()).unwrap()),
        }
        let next = part["_meta"]["smcp/next_offset"].as_u64().unwrap();
        assert_eq!(next, bytes.len() as u64);
        if part["_meta"]["smcp/total_bytes"] == next {
            return bytes;
        }
    }
}
