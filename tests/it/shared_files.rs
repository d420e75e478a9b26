//! Files that plugins share: each has a link to them in its directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use serde_json::json;

use crate::world::{World, eventually, failure_of, text_of};

const PYTHON: &str = r#"
from sys import argv
from shared import say

if argv[1:] == ["--describe"]:
    print('{"commands": [{"name": "say", "effect": "read_only"}]}')
else:
    print(say())
"#;

const SHELL: &str = r#"#!/bin/sh
case "$1" in
--describe) echo '{"commands": [{"name": "say", "effect": "read_only"}, {"name": "peek", "effect": "read_only"}]}' ;;
say) . "${0%/*}/shared.sh" && say ;;
peek) cat "${0%/*}/hidden.sh" ;;
esac
"#;

/// A world with one plugin, whose directory has a link to a file that lies beside it, and to one that lies outside.
fn world(entry: &str, program: &str, shared: (&str, &str)) -> (World, PathBuf) {
    let world = World::new();
    let plugins = world.path("plugins-here");
    let plugin = plugins.join("one");
    fs::create_dir_all(&plugin).unwrap();
    fs::write(plugin.join(entry), program).unwrap();
    fs::set_permissions(plugin.join(entry), fs::Permissions::from_mode(0o755)).unwrap();
    let (name, text) = shared;
    fs::write(plugins.join(name), text).unwrap();
    symlink(format!("../{name}"), plugin.join(name)).unwrap();
    fs::write(world.path("hidden.sh"), "found").unwrap();
    symlink("../../hidden.sh", plugin.join("hidden.sh")).unwrap();
    let directories = plugins.display().to_string();
    (world.with_plugins(directories), plugins.join(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_file_is_read_however_plugins_are_confined_and_no_other_is() {
    for namespaces in ["auto", "off"] {
        let (world, _) = world("cli", SHELL, ("shared.sh", "say() { echo first; }\n"));
        let settings = format!("[sandbox]\nnamespaces = '{namespaces}'\n");
        fs::write(world.path("smcp.toml"), settings).unwrap();
        let (world, _roles) = world.started();
        let client = world.client().await;
        let said = text_of(&client.call("one__say", json!({})).await);
        assert_eq!(said, "first", "{namespaces}");
        let (_, message) = failure_of(&client.call("one__peek", json!({})).await);
        assert!(message.contains("hidden.sh"), "{namespaces}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_shared_file_reaches_an_interpreter_that_waits() {
    let first = ("shared.py", "def say():\n    return 'first'\n");
    let (world, shared) = world("cli.py", PYTHON, first);
    let (world, _roles) = world.started();
    let client = world.client().await;
    let said = async || text_of(&client.call("one__say", json!({})).await);
    assert_eq!(
        (said().await, said().await),
        ("first".into(), "first".into())
    );

    // As editors write it: another file in its place.
    let digest = || world.smcp_json(&["plugins", "list"])["plugins"][0]["digest"].clone();
    let before = digest();
    let new = shared.with_extension("new");
    fs::write(&new, "def say():\n    return 'second'\n").unwrap();
    fs::rename(new, shared).unwrap();
    eventually("the change is noticed", || {
        (digest() != before).then_some(())
    });
    assert_eq!(said().await, "second");
    let starts = "SELECT group_concat(json_extract(sandbox, '$.start')) FROM attempts";
    let starts: String = world.sql().query_row(starts, [], |row| row.get(0)).unwrap();
    assert_eq!(starts, "warm,warm,warm");
}
