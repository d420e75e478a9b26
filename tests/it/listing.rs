//! `tools/list`: pages, and the same list for everybody who asks.

use std::fs;

use serde_json::{Value, json};

use crate::http::{Session, TRANSPORTS};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn many_tools_come_in_pages_and_the_same_on_each_transport() {
    let world = World::new();
    let plugin = world.path("plugins/many");
    fs::create_dir_all(&plugin).unwrap();
    let commands: Vec<_> = (0..250)
        .rev()
        .map(|n| json!({"name": format!("t{n:03}"), "annotations": {"title": format!("Tool {n}"), "readOnlyHint": true}}))
        .collect();
    let says = format!("print({:?})", json!({ "commands": commands }).to_string());
    fs::write(plugin.join("cli.py"), says).unwrap();
    let plugins = world.path("plugins").display().to_string();
    let (world, _roles) = world.with_plugins(plugins).started();

    let mut lists = Vec::new();
    for transport in TRANSPORTS {
        let mut session = Session::open(&world, transport).await;
        let first = session.ask("tools/list", json!({})).await;
        let first = &first["result"];
        let cursor = &first["nextCursor"];
        assert!(cursor.is_string(), "{transport:?}: {cursor}");
        let second = session.ask("tools/list", json!({"cursor": cursor})).await;
        let second = &second["result"];
        assert_eq!(second["nextCursor"], Value::Null);
        let pages = [first, second].map(|page| page["tools"].as_array().unwrap().clone());
        assert_eq!(pages[0].len(), 200);
        lists.push(pages.concat());

        let refused = session.ask("tools/list", json!({"cursor": "2"})).await;
        assert_eq!(refused["error"]["code"], -32602);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains("no cursor '2'"), "{message}");
    }
    assert_eq!(lists[0], lists[1]);
    let names: Vec<_> = lists[0]
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted());
    assert_eq!(
        names
            .iter()
            .filter(|name| name.starts_with("many__"))
            .count(),
        250
    );
    let tool = lists[0].iter().find(|tool| tool["name"] == "many__t007");
    let tool = tool.unwrap();
    assert_eq!(
        (&tool["title"], &tool["annotations"]),
        (
            &json!("Tool 7"),
            &json!({"title": "Tool 7", "readOnlyHint": true})
        )
    );

    let by_client = world.client().await.0.list_all_tools().await.unwrap();
    let by_client: Vec<_> = by_client.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(by_client, names);
    let by_command = world.smcp_json(&["tools"]);
    let by_command = by_command.as_array().unwrap().iter();
    let by_command: Vec<_> = by_command
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(by_command.is_sorted() && by_command.len() > 250);
    assert!(
        names.iter().all(|name| by_command.contains(name)),
        "and what is for operators alone"
    );
}
