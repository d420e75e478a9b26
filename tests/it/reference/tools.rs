//! `docs/reference/tools.md`, from the real `tools/list`.

use std::fs;

use serde_json::{Map, Value, json};

use super::{head, keep, row};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_every_built_in_tool() {
    let mut world = World::new();
    let empty = world.path("none");
    fs::create_dir(&empty).unwrap();
    world = world.with_plugins(empty.display().to_string());
    let _api = world.api();
    let key = fs::read_to_string(world.path("operator.key")).unwrap();
    let operator = listed(&world, Some(key.trim())).await;
    let anybody = listed(&world, None).await;
    assert!(operator.len() > anybody.len() && anybody.len() > 20);
    let mut page = "# Built-in tools\n\n\
<!-- Made of a real tools/list by tests/it/reference.rs; change it where the tool is, in smcp-api/src/builtin. -->\n\n\
Beside the tools of plugins, SMCP has these. Those for operators are listed to agents whom a rule lets use them: by the built-in rules, the group `operators`.\n\
The command `smcp` calls the same tools. A tool that changes something records who did it.\n"
        .to_owned();
    for tool in &operator {
        let name = tool["name"].as_str().unwrap();
        let is_for_all = anybody.iter().any(|other| other["name"] == *name);
        page += &format!("\n## {name}\n\n{}\n", tool["description"].as_str().unwrap());
        let mut notes = Vec::new();
        if !is_for_all {
            notes.push("For operators.");
        }
        if tool["annotations"]["readOnlyHint"] == true {
            notes.push("Changes nothing.");
        }
        if !notes.is_empty() {
            page += &format!("\n*{}*\n", notes.join(" "));
        }
        let nothing = Map::new();
        let arguments = tool["inputSchema"]["properties"]
            .as_object()
            .unwrap_or(&nothing);
        if arguments.is_empty() {
            continue;
        }
        page += "\n";
        page += &head(&["argument", "type", "default", "meaning"]);
        let required = tool["inputSchema"]["required"].as_array();
        for (argument, schema) in arguments {
            let is_required = required.is_some_and(|names| names.contains(&json!(argument)));
            let default = match (is_required, schema.get("default")) {
                (true, _) => "required".to_owned(),
                (false, Some(default)) => format!("`{default}`"),
                (false, None) => String::new(),
            };
            let meaning = schema["description"].as_str().unwrap_or_default();
            page += &row(&[&format!("`{argument}`"), &kind(schema), &default, meaning]);
        }
    }
    keep("tools.md", &page);
}

async fn listed(world: &World, key: Option<&str>) -> Vec<Value> {
    let client = match key {
        Some(key) => world.client_with_key(key).await,
        None => world.client().await,
    };
    let tools = client.0.list_all_tools().await.unwrap();
    let mut tools: Vec<_> = tools.iter().map(|tool| json!(tool)).collect();
    tools.sort_by_key(|tool| tool["name"].to_string());
    tools
}

/// The type of an argument, with its bounds.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    let one = |kind: &Value| kind.as_str().unwrap_or("any").to_owned();
    let mut kind = match schema["type"].as_array() {
        Some(kinds) => kinds.iter().map(one).collect::<Vec<_>>().join(" or "),
        None => one(&schema["type"]),
    };
    if kind == "array" {
        kind = format!(
            "array of {}",
            schema["items"]["type"].as_str().unwrap_or("any")
        );
    }
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!("{kind}, {least} to {most}"),
        (Some(least), None) => format!("{kind}, at least {least}"),
        (None, Some(most)) => format!("{kind}, at most {most}"),
        (None, None) => kind,
    }
}
