//! What authors of plugins are given: a plugin to begin with, and what SMCP makes of theirs.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::world::{World, failure_of, text, text_of};

const LANGUAGES: [&str; 4] = ["python", "bash", "node", "rust"];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_each_language_is_sound_and_answers() {
    let world = World::new();
    let plugins = world.path("plugins-here").display().to_string();
    let world = world.with_plugins(&plugins);
    for language in LANGUAGES {
        let name = format!("my-{language}");
        let new = [
            "plugins", "new", &name, "--lang", language, "--dir", &plugins,
        ];
        let made = world.smcp(&new);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let told = text(&made.stdout);
        assert!(told.contains(&format!("the tool {name}__greet.")), "{told}");
        let directory = format!("{plugins}/{name}");
        if language == "rust" {
            let built = Command::new(format!("{directory}/build")).output().unwrap();
            assert!(built.status.success(), "{}", text(&built.stderr));
        }
        let checked = world.smcp(&["plugins", "check", &directory]);
        let said = text(&checked.stdout);
        assert!(
            said.contains(&format!("  {name}__greet full_name=STRING")),
            "{said}"
        );
        assert!(said.ends_with("1 tool, no problems\n"), "{said}");
        assert!(checked.status.success());
        let warm = said.contains("\nstarts    warm: typing, json, os, sys imported once\n");
        assert_eq!(warm, language == "python", "{said}");
    }
    let (world, _roles) = world.started();
    let client = world.client().await;
    for tool in [
        "my-python__greet",
        "my-bash__greet",
        "my-node__greet",
        "my-rust__greet",
    ] {
        let name = "--Zoë \"Q\" \\";
        let greeted = client
            .call(tool, json!({"full_name": name, "times": 2}))
            .await;
        let said = text_of(&greeted);
        assert_eq!(said.matches("Zoë").count(), 2, "{tool}: {said}");
        assert!(said.contains("Hello, --Zoë"), "{tool}: {said}");
        let events = "SELECT count(*) FROM job_events JOIN jobs ON num = job WHERE tool = ?1 AND kind = 'progress'";
        let told: u32 = world
            .sql()
            .query_row(events, [tool], |row| row.get(0))
            .unwrap();
        assert!(told > 0, "{tool} tells how far it is");
        let nobody = client.call(tool, json!({"full_name": " "})).await;
        let (_, message) = failure_of(&nobody);
        assert_eq!(message, "full_name is empty: say whom to greet", "{tool}");
    }
}

#[test]
fn a_new_plugin_takes_nothing_away_and_has_a_good_name() {
    let world = World::new();
    fs::create_dir(world.path("there")).unwrap();
    for (name, told) in [
        (
            "there",
            "./there is there already; nothing has been changed",
        ),
        (
            "a b",
            "the directory's name 'a b' may have only letters, digits, '_' and '-'",
        ),
        (
            "../up",
            "the directory's name '../up' may have only letters, digits, '_' and '-'",
        ),
        ("jobs", "the name 'jobs' belongs to built-in tools"),
    ] {
        let refused = world.smcp(&["plugins", "new", name]);
        assert_eq!(refused.status.code(), Some(2), "{name}");
        assert_eq!(text(&refused.stderr), format!("error: {told}\n"));
    }
    assert_eq!(fs::read_dir(world.path("there")).unwrap().count(), 0);
}

#[test]
fn a_check_says_how_calls_would_be_started_and_what_they_may_do() {
    let world = World::new();
    let plugin = world.path("probe");
    fs::create_dir(&plugin).unwrap();
    let check = |source: &str| -> (Option<i32>, Value) {
        let document = r#"{"plugin": {"secrets": ["KEY"], "sandbox": {"limits": {"memory_mb": 9999}}}, "commands": [{"name": "run"}]}"#;
        let source = format!("{source}\nprint('{document}')\n");
        fs::write(plugin.join("cli.py"), source).unwrap();
        let checked = world.smcp(&["plugins", "check", plugin.to_str().unwrap(), "--json"]);
        let told = serde_json::from_slice(&checked.stdout);
        (checked.status.code(), told.unwrap())
    };
    fs::write(plugin.join("own.py"), "import json\n").unwrap();
    let (code, told) = check("import own");
    assert_eq!(code, Some(0), "what is not granted is a warning: {told}");
    assert_eq!(told["starts"], json!({"warm": {"imported": ["json"]}}));
    assert_eq!(told["profile"]["limits"]["memory_mb"], 512, "{told}");
    assert_eq!(told["sandbox"]["limits"]["memory_mb"], 9999, "{told}");
    assert!(
        told["withheld"][0].to_string().contains("memory_mb"),
        "{told}"
    );
    assert!(
        !told["confinement"]["by"].as_array().unwrap().is_empty(),
        "{told}"
    );

    // An interpreter that waits would do this import, too.
    let (code, told) = check("import sys\nif '--describe' not in sys.argv:\n    import this");
    assert_eq!(code, Some(0), "{told}");
    let because = &told["starts"]["cold"]["because"];
    assert_eq!(because, "its imports print something", "{told}");

    let (code, told) = check("raise SystemExit(3)");
    assert_eq!((code, &told["starts"]), (Some(1), &json!(null)), "{told}");
}
