//! Profiles: which tools an agent starts with, and may attach at once.

use std::fs;

use serde_json::{Value, json};

use crate::governor::bundled;
use crate::world::{World, text};

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_read_merged_and_applied() {
    let world = bundled();
    let directory = world.path("profiles");
    fs::create_dir(&directory).unwrap();
    let first = json!({
        "default_profile": "Math",
        "profiles": {
            "Math": {"mode": "prefix", "prefix": "demo_math__"},
            "counts": {"mode": "glob", "pattern": "*__*_count"},
            "chosen": {"mode": "all"},
        },
        "intent_hints": [{"intent": "count words", "tool": "demo_text__word_count", "needs": "text"}],
    });
    let second = json!({
        "profiles": {"chosen": {"mode": "explicit", "tools": ["demo_text__echo", "demo_math__coin_flip", "gone__tool"]}},
        "intent_hints": [{"intent": "toss", "tool": "demo_math__coin_flip"}],
    });
    fs::write(directory.join("a.json"), first.to_string()).unwrap();
    fs::write(directory.join("b.json"), second.to_string()).unwrap();
    let mut world = world
        .with("SMCP_PROFILES", directory.display().to_string())
        .with("SMCP_ADMIN_PREFIX", "demo_text__");
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let client = world.client().await;
    let governor = async |request: Value| client.json("sanctum__tools", request).await;

    let tools = client.0.list_all_tools().await.unwrap();
    let schema = json!(
        tools
            .iter()
            .find(|tool| tool.name == "sanctum__tools")
            .unwrap()
            .input_schema
    );
    assert_eq!(
        schema["properties"]["profile"]["enum"],
        json!(["admin", "chosen", "counts", "full", "math"])
    );
    let math = [
        "demo_math__calculate",
        "demo_math__coin_flip",
        "demo_math__format_bytes",
        "sanctum__tools",
    ];
    assert_eq!(
        governor(json!({"action": "list-attached"})).await,
        json!({"tools": math}),
        "the default profile"
    );
    for (profile, expected) in [
        ("COUNTS", vec!["demo_text__word_count", "sanctum__tools"]),
        (
            "chosen",
            vec!["demo_math__coin_flip", "demo_text__echo", "sanctum__tools"],
        ),
        (
            "admin",
            vec![
                "demo_text__echo",
                "demo_text__hash_preview",
                "demo_text__slugify",
                "demo_text__word_count",
                "sanctum__tools",
            ],
        ),
    ] {
        let applied = governor(json!({"action": "attach-profile", "profile": profile})).await;
        assert_eq!(applied, json!({"profile": profile, "attached": expected}));
        assert_eq!(
            governor(json!({"action": "list-attached"})).await,
            json!({"tools": expected})
        );
    }

    // G5
    let help = governor(json!({"action": "help", "intent": "WORD"})).await;
    assert_eq!(
        help["matches"],
        json!([{"intent": "count words", "tool": "demo_text__word_count", "needs": "text"}])
    );
    assert_eq!(
        help["note"],
        "Detached tools return attach hint on call. Use attach-profile with one of: admin, chosen, counts, full, math"
    );
    assert_eq!(
        governor(json!({"action": "help"})).await["matches"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_never_chose_has_the_profile_of_the_settings() {
    let mut world = bundled()
        .with("SMCP_PROFILES", "profiles.json")
        .with("SMCP_ATTACH_PROFILE", "COUNTS");
    let profiles = json!({
        "default_profile": "none",
        "profiles": {
            "counts": {"mode": "glob", "pattern": "**_count"},
            "none": {"mode": "explicit", "tools": []},
        },
    });
    fs::write(world.path("profiles.json"), profiles.to_string()).unwrap();
    let _roles = [world.api(), world.worker()];
    world.wait_for_tools();
    let mut agents = Vec::new();
    for name in ["ada", "bob"] {
        let added = world.smcp_json(&["agents", "add", name, "--group", "users"]);
        agents.push(world.client_with_key(added["key"].as_str().unwrap()).await);
    }
    let [ada, bob] = &agents[..] else {
        panic!("there are two")
    };
    let listing = ada.0.list_all_tools().await.unwrap();
    let plugins: Vec<_> = listing
        .iter()
        .map(|tool| &*tool.name)
        .filter(|name| name.starts_with("demo_"))
        .collect();
    assert_eq!(plugins, ["demo_text__word_count"]);

    // G1, word by word but for the descriptions.
    let governor = listing.iter().find(|tool| tool.name == "sanctum__tools");
    let mut schema = json!(governor.unwrap().input_schema);
    for (_, property) in schema["properties"].as_object_mut().unwrap() {
        property.as_object_mut().unwrap().remove("description");
    }
    assert_eq!(
        schema,
        json!({
            "type": "object",
            "properties": {
                "action": {"type": "string", "enum": ["help", "list-available", "list-attached", "attach", "detach", "attach-profile"]},
                "tool": {"type": "string"},
                "tools": {"type": "array", "items": {"type": "string"}},
                "profile": {"type": "string", "enum": ["counts", "full", "none"]},
                "intent": {"type": "string"},
            },
            "required": ["action"],
            "additionalProperties": false,
        })
    );

    // G4: what is meant where no profile is named is the files' default, whatever an agent starts with.
    let none = ada
        .json("sanctum__tools", json!({"action": "attach-profile"}))
        .await;
    assert_eq!(
        none,
        json!({"profile": "none", "attached": ["sanctum__tools"]})
    );
    let blocked = ada
        .call("demo_text__word_count", json!({"text": "a"}))
        .await;
    assert_eq!(blocked.is_error, Some(true));
    assert_eq!(
        blocked.structured_content.unwrap()["error"]["attached"],
        json!([])
    );
    let others = bob
        .json("sanctum__tools", json!({"action": "list-attached"}))
        .await;
    assert_eq!(
        others,
        json!({"tools": ["demo_text__word_count", "sanctum__tools"]})
    );
}

#[test]
fn profiles_that_cannot_be_read_stop_the_start() {
    for (file, expected) in [
        ("{", "SMCP_PROFILES: profiles.json: "),
        ("[]", "SMCP_PROFILES: profiles.json: "),
        (
            r#"{"profiles": {"a": {"mode": "prefix"}}}"#,
            "profile 'a': mode 'prefix' needs 'prefix'",
        ),
        (
            r#"{"profiles": {"a": {"mode": "some"}}}"#,
            "profile 'a': mode 'some' is not one of all|prefix|glob|explicit",
        ),
    ] {
        let world = World::new().with("SMCP_PROFILES", "profiles.json");
        fs::write(world.path("profiles.json"), file).unwrap();
        let refused = world.smcp(&["api", "--port", "0"]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
