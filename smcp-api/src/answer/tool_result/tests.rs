use super::*;

#[test]
fn what_is_no_tool_result_is_told_with_its_place() {
    let rows = [
        (json!([]), "it is not an object"),
        (json!({}), "content is missing"),
        (json!({"content": {}}), "content is not an array"),
        (
            json!({"content": [], "is_error": true}),
            "'is_error' is not a key of a tool result; they are content, structuredContent, isError and _meta",
        ),
        (
            json!({"content": [], "isError": "no"}),
            "isError is not a boolean",
        ),
        (
            json!({"content": [], "_meta": []}),
            "_meta is not an object",
        ),
        (
            json!({"content": [], "resultType": "task"}),
            "resultType is not \"complete\"",
        ),
        (json!({"content": ["hello"]}), "content[0] is not an object"),
        (json!({"content": [{}]}), "content[0].type is missing"),
        (
            json!({"content": [{"type": "video"}]}),
            "content[0].type 'video' is not one of text, image, audio, resource, resource_link",
        ),
        (
            json!({"content": [{"type": "text", "text": "a"}, {"type": "text"}]}),
            "content[1].text is missing",
        ),
        (
            json!({"content": [{"type": "text", "text": 1}]}),
            "content[0].text is not a string",
        ),
        (
            json!({"content": [{"type": "image", "data": "aGk="}]}),
            "content[0].mimeType is missing",
        ),
        (
            json!({"content": [{"type": "audio", "data": "a-b_", "mimeType": "audio/wav"}]}),
            "content[0].data is not base64: Invalid symbol 45, offset 1.",
        ),
        (
            json!({"content": [{"type": "resource", "uri": "x:y"}]}),
            "content[0].resource is missing",
        ),
        (
            json!({"content": [{"type": "resource", "resource": {"text": ""}}]}),
            "content[0].resource.uri is missing",
        ),
        (
            json!({"content": [{"type": "resource", "resource": {"uri": "x:y"}}]}),
            "content[0].resource has neither text nor blob",
        ),
        (
            json!({"content": [{"type": "resource", "resource": {"uri": "x:y", "text": "", "blob": ""}}]}),
            "content[0].resource has both text and blob",
        ),
        (
            json!({"content": [{"type": "resource_link", "uri": "x:y"}]}),
            "content[0].name is missing",
        ),
        (
            json!({"content": [{"type": "resource_link", "uri": "x:y", "name": "n", "size": -1}]}),
            "content[0].size is not a number of bytes",
        ),
        (
            json!({"content": [{"type": "resource_link", "uri": "x:y", "name": "n", "icons": [{}]}]}),
            "content[0]: missing field `src`",
        ),
        (
            json!({"content": [{"type": "text", "text": "", "annotations": {"priority": 2}}]}),
            "content[0].annotations.priority is not a number from 0 to 1",
        ),
        (
            json!({"content": [{"type": "text", "text": "", "annotations": {"audience": ["me"]}}]}),
            "content[0].annotations.audience is not an array of user and assistant",
        ),
    ];
    for (document, expected) in rows {
        assert_eq!(
            read(&document.to_string()).unwrap_err(),
            expected,
            "{document}"
        );
    }
    let said = read("Hello").unwrap_err();
    assert!(said.starts_with("it is not JSON: expected value"), "{said}");
}

#[test]
fn every_kind_of_content_is_passed_on_as_it_is() {
    let content = json!([
        {"type": "text", "text": "a", "annotations": {"audience": ["user"], "priority": 0.5}},
        {"type": "image", "data": "aGk=", "mimeType": "image/png", "_meta": {"width": 3}},
        {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "x:y", "mimeType": "text/plain", "text": "t"}},
        {"type": "resource", "resource": {"uri": "x:z", "blob": "aGk="}},
        {"type": "resource_link", "uri": "x:y", "name": "n", "title": "N", "size": 3},
    ]);
    let result = read(&json!({"content": content, "structuredContent": {"n": 1}}).to_string());
    let result = json!(result.unwrap());
    assert_eq!(result["content"], content);
    assert_eq!(result["structuredContent"], json!({"n": 1}));
    assert_eq!(result["isError"], false);
}

#[test]
fn structured_content_alone_gets_a_copy_as_text() {
    let result = read(r#"{"structuredContent": {"b": 1, "a": 2}}"#).unwrap();
    assert_eq!(
        json!(result.content),
        json!([{"type": "text", "text": r#"{"b":1,"a":2}"#}])
    );
}

#[test]
fn a_plugin_cannot_say_what_is_ours() {
    let meta = json!({"smcp/job": "x", "io.modelcontextprotocol/task": 1, "dev.mcp/a": 1, "com.example/a": 1, "b": 2});
    let result = read(&json!({"content": [], "_meta": meta}).to_string()).unwrap();
    assert_eq!(json!(result.meta), json!({"com.example/a": 1, "b": 2}));
}

#[test]
fn an_error_has_a_code_and_a_message() {
    let named = json!({"code": "quota", "message": "full", "left": 0});
    let generic = |message: &str| json!({"code": "plugin_error", "message": message});
    let text = json!([{"type": "text", "text": "no"}]);
    let rows = [
        (json!({"content": text}), json!({"error": generic("no")})),
        (
            json!({"content": []}),
            json!({"error": generic("The tool failed and did not say why.")}),
        ),
        (
            json!({"content": text, "structuredContent": {"error": named, "n": 1}}),
            json!({"error": named, "n": 1}),
        ),
        (
            json!({"content": text, "structuredContent": {"n": 1}}),
            json!({"n": 1, "error": generic("no")}),
        ),
        (
            json!({"content": text, "structuredContent": {"error": "why"}}),
            json!({"error": generic("why")}),
        ),
        (
            json!({"content": text, "structuredContent": [1]}),
            json!({"error": generic("no")}),
        ),
    ];
    for (mut document, expected) in rows {
        document["isError"] = json!(true);
        let result = read(&document.to_string()).unwrap();
        assert_eq!(result.structured_content, Some(expected), "{document}");
        assert_eq!(result.is_error, Some(true));
        assert!(!result.content.is_empty());
    }
}
