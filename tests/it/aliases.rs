//! Tools under the names that the operator gives them.

use serde_json::json;

use crate::world::{World, failure_of, job_of, text, text_of};

/// Two names for one tool, one with a dot, one of a tool that is not there, and one that is another tool's own.
const ALIASES: &str = r#"
[aliases]
calc = "demo_math__calculate"
compute = "demo_math__calculate"
"text.echo" = "demo_text__echo"
ghost = "nobody__nothing"
demo_text__slugify = "demo_math__coin_flip"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_is_listed_under_its_aliases_and_called_under_any_name() {
    let world = World::new();
    world.configure(ALIASES);
    let (world, _roles) = world.started();
    let client = world.client().await;

    let tools = client.0.list_all_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    let listed = |name: &str| names.iter().filter(|other| **other == name).count();
    let once = ["calc", "compute", "text.echo"];
    for name in once
        .iter()
        .chain(&["demo_text__slugify", "demo_math__coin_flip"])
    {
        assert_eq!(listed(name), 1, "{name} in {names:?}");
    }
    for name in ["demo_math__calculate", "demo_text__echo", "ghost"] {
        assert_eq!(listed(name), 0, "{name} in {names:?}");
    }

    let sum = json!({"operation": "add", "a": 2, "b": 40});
    for name in [
        "calc",
        "compute",
        "demo_math__calculate",
        "demo_math.calculate",
    ] {
        let answer = client.call(name, sum.clone()).await;
        assert!(text_of(&answer).contains("42"), "{name}: {answer:?}");
        let job = client
            .json("jobs__get", json!({"id": job_of(&answer)}))
            .await;
        assert_eq!(job["tool"], "demo_math__calculate");
    }
    let title = json!({"title": "Its own name wins"});
    let slug = client.call("demo_text__slugify", title).await;
    assert!(text_of(&slug).contains("its-own-name-wins"), "{slug:?}");

    let id = client.submit("calc", sum).await;
    let job = client.ended(&id).await;
    assert_eq!(
        (&job["tool"], &job["state"]),
        (&json!("demo_math__calculate"), &json!("succeeded"))
    );
    let jobs = client.json("jobs__list", json!({"tool": "compute"})).await;
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 5);

    let (code, message) = failure_of(&client.call("ghost", json!({})).await);
    assert_eq!(code, "unknown_tool");
    assert_eq!(
        message,
        "'ghost' stands for the tool 'nobody__nothing', which is not there."
    );
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_detached_by_an_alias_is_detached_under_every_name() {
    let world = World::new();
    world.configure(ALIASES);
    let (world, _roles) = world.started();
    let client = world.client().await;
    let request = json!({"action": "detach", "tool": "calc"});
    let detached = client.json("sanctum__tools", request).await;
    assert_eq!(detached["detached"], json!(["demo_math__calculate"]));
    for name in ["calc", "compute", "demo_math__calculate"] {
        let answer = client
            .call(name, json!({"operation": "add", "a": 1, "b": 1}))
            .await;
        assert_eq!(answer.is_error, Some(true));
        let denied = text_of(&answer);
        assert!(denied.contains("tool=demo_math__calculate"), "{denied}");
    }
    let tools = client.0.list_all_tools().await.unwrap();
    assert!(
        !tools
            .iter()
            .any(|tool| ["calc", "compute"].contains(&&*tool.name))
    );
}

#[test]
fn an_alias_that_cannot_be_given_stops_the_start() {
    let world = World::new();
    for (aliases, expected) in [
        (
            "health = 'demo_text__echo'",
            r#"error: aliases."health" must not be the name of a built-in tool"#,
        ),
        (
            "'say hello' = 'demo_text__echo'",
            r#"error: aliases."say hello" must match ^[A-Za-z0-9_.-]{1,128}$"#,
        ),
    ] {
        world.configure(&format!("[aliases]\n{aliases}\n"));
        let refused = world.smcp(&["api", "--port", "0"]);
        assert_eq!(refused.status.code(), Some(2));
        assert_eq!(text(&refused.stderr).trim_end(), expected);
    }
}
