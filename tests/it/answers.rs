//! What callers get of what a plugin prints, and how it ends: the rows E1 to E4, and what plugins do not get.

use serde_json::{Value, json};

use crate::world::{World, eventually, failure_of, job_of, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn every_end_has_its_words_and_code() {
    let (world, _roles) = World::running();
    let client = world.client().await;

    // E1: an exit status of 0 is success, whatever is printed.
    let fine = client.call("awkward__ok-error", json!({})).await;
    assert_eq!(fine.is_error, Some(false));
    assert_eq!(text_of(&fine), r#"{"error": "an error that exits with 0"}"#);
    assert_eq!(fine.structured_content, None);

    // E2 and E3, and D8: standard error is told where standard output says nothing.
    for (tool, expected) in [
        ("awkward__json-error", "the reason is in the JSON"),
        (
            "awkward__stderr-only",
            "Plugin exited with code 3: the reason is on stderr",
        ),
        (
            "awkward__silent-fail",
            "Plugin exited with code 4 (no output)",
        ),
    ] {
        let failed = client.call(tool, json!({})).await;
        assert_eq!(
            failure_of(&failed),
            ("plugin_error".to_owned(), expected.to_owned()),
            "{tool}"
        );
        let job = client
            .json("jobs__get", json!({"id": job_of(&failed)}))
            .await;
        assert_eq!(job["state"], "failed");
        assert_eq!(
            job["error"],
            json!({"code": "plugin_error", "message": expected})
        );
        assert_eq!(job["result"]["is_error"], true);
        assert_eq!(job["result"]["text"], expected);
        assert_eq!(
            job["attempts"].as_array().unwrap().len(),
            1,
            "what a plugin says is final"
        );
    }

    // A plugin's own code is there for programs.
    let failed = client.call("demo_math__calculate", json!({"expression": "1/0"}));
    let failed = failed.await;
    assert_eq!(failure_of(&failed).0, "plugin_error");
    let error = &failed.structured_content.as_ref().unwrap()["error"];
    assert_eq!(error["plugin_code"], "division_by_zero");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_result_is_passed_on_and_gets_the_job_beside_its_own_meta() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let image = json!({"type": "image", "data": "AAAA", "mimeType": "image/png"});
    let printed = json!({
        "content": [image], "structuredContent": {"n": 1}, "isError": false, "_meta": {"plugin/own": 2},
    });
    let answer = client
        .call("awkward__echo-mcp", json!({"value": printed}))
        .await;
    assert_eq!(json!(answer.content[0]), image);
    assert_eq!(answer.structured_content, Some(json!({"n": 1})));
    assert_eq!(answer.is_error, Some(false));
    assert_eq!(json!(answer.meta)["plugin/own"], 2);
    assert!(job_of(&answer).len() > 8);

    let answer = client
        .call("awkward__echo-mcp", json!({"value": {"no": "result"}}))
        .await;
    assert_eq!(failure_of(&answer).0, "invalid_output");
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_no_key_and_no_setting_reaches_a_plugin() {
    let mut world = World::new()
        .with("MCP_API_KEY", "key-of-the-agents")
        .with("MCP_API_KEYS", "other-key,third-key")
        .with("SMCP_API_KEY", "key-of-a-client")
        .with("SMCP_ADMIN_PREFIX", "demo_")
        .with("LETTA_API_KEY", "letta-key")
        .with("LETTA_SERVER_PASSWORD", "letta-password")
        .with("AWS_SECRET_ACCESS_KEY", "cloud-key")
        .with("LC_ALL", "C.UTF-8")
        .with("TZ", "UTC");
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    let answer = client.call("awkward__environment", json!({})).await;
    let seen: Value = serde_json::from_str(&text_of(&answer)).unwrap();
    let variables = seen["environment"].as_object().unwrap();
    for (name, value) in variables {
        assert!(
            !["MCP_", "LETTA_", "AWS_"]
                .iter()
                .any(|prefix| name.starts_with(prefix)),
            "{name}"
        );
        assert!(
            !value.as_str().unwrap().contains("-key"),
            "{name} is {value}"
        );
    }
    let mut ours: Vec<_> = variables
        .keys()
        .filter(|name| name.starts_with("SMCP_"))
        .collect();
    ours.sort();
    assert_eq!(ours, ["SMCP_ATTEMPT", "SMCP_EVENTS_FD", "SMCP_JOB_ID"]);
    assert_eq!(variables["SMCP_JOB_ID"], json!(job_of(&answer)));
    for name in ["PATH", "HOME", "TZ", "LC_ALL", "TMPDIR", "PYTHONUNBUFFERED"] {
        assert!(variables.contains_key(name), "{name} is missing");
    }
    let cwd = seen["cwd"].as_str().unwrap();
    assert_eq!(
        seen["entries"],
        json!([]),
        "it begins in a directory of its own"
    );
    eventually("nothing in it outlives the call", || {
        let left = std::fs::read_dir(cwd).map_or(0, Iterator::count);
        (left == 0).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_without_describe_and_without_python_are_served() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let tools = client.0.list_all_tools().await.unwrap();
    let described = |name: &str| {
        tools
            .iter()
            .find(|tool| tool.name == name)
            .map(|tool| json!(tool))
    };

    // P6: from the help text; such a tool takes whatever it is given.
    let greet = described("oldstyle__greet").unwrap();
    assert_eq!(greet["inputSchema"]["properties"], json!({}));
    assert!(described("oldstyle__status").is_some());
    let hello = client.call("oldstyle__greet", json!({"name": "Ada"})).await;
    assert_eq!(text_of(&hello), r#"{"result": "Hello, Ada"}"#);
    let usage = client
        .call("oldstyle__status", json!({"name": "Ada"}))
        .await;
    let (code, message) = failure_of(&usage);
    assert_eq!(code, "plugin_error");
    assert!(
        message.starts_with("Plugin exited with code 2: usage:")
            && message.contains("unrecognized arguments"),
        "{message}"
    );

    // A shell script that describes itself; P5: `connect` is not offered.
    assert_eq!(described("shellcli__connect"), None);
    assert_eq!(
        described("shellcli__greet").unwrap()["inputSchema"]["required"],
        json!(["name"])
    );
    let hello = client
        .call("shellcli__greet", json!({"name": "O'Brien; $(id)"}))
        .await;
    assert_eq!(text_of(&hello), "Hello, O'Brien; $(id)");
}
