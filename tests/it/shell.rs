//! The plugin `shell`: commands that an operator lists in a file are tools, with a sandbox each, and the file is a part of
//! the plugin.

use std::fs;

use serde_json::{Value, json};

use crate::world::{Client, World, eventually, failure_of, job_of, text, text_of};

const COMMANDS: &str = r#"
[commands.restart]
description = "Restart a service"
argv = ["echo", "restarted", "{service}"]
effect = "idempotent"
lane = "systemd"
parameters.service.enum = ["web", "worker"]

[commands.limited]
description = "Tell how much memory there is"
argv = ["sh", "-c", "ulimit -d"]
effect = "read_only"
sandbox.limits.memory_mb = 100

[commands.fails]
description = "Fail"
argv = ["sh", "-c", "echo why >&2; exit 4"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_command_is_a_typed_tool_that_is_run_as_it_is_listed() {
    let (world, _roles) = listing(COMMANDS, |world| world).started();
    let client = world.client().await;
    let tools = client.0.list_all_tools().await.unwrap();
    let restart = tools.iter().find(|tool| tool.name == "shell__restart");
    let restart = json!(restart.unwrap());
    assert_eq!(restart["description"], "Restart a service");
    assert_eq!(restart["annotations"]["idempotentHint"], true);
    let schema = &restart["inputSchema"];
    assert_eq!(schema["required"], json!(["service"]));
    assert_eq!(
        schema["properties"]["service"]["enum"],
        json!(["web", "worker"])
    );

    let refused = client.call("shell__restart", json!({"service": "web; id"}));
    assert_eq!(failure_of(&refused.await).0, "invalid_arguments");
    let jobs = "SELECT count(*) FROM jobs";
    let count = || world.sql().query_row(jobs, [], |row| row.get::<_, i64>(0));
    assert_eq!(count().unwrap(), 0);

    let answer = client
        .call("shell__restart", json!({"service": "web"}))
        .await;
    let told = answer.structured_content.clone().unwrap_or_default();
    let expected = json!({"ok": true, "exit_status": 0, "stdout": "restarted web\n", "stderr": ""});
    assert_eq!(told, expected, "{}", text_of(&answer));
    let job = client
        .json("jobs__get", json!({"id": job_of(&answer)}))
        .await;
    let carried = (&job["lane"], &job["effect"]);
    assert_eq!(carried, (&json!("systemd"), &json!("idempotent")));

    let failed = client.call("shell__fails", json!({})).await;
    let (_, message) = failure_of(&failed);
    assert_eq!(message, "sh exited with status 4: why");
    let output = world.smcp(&["jobs", "output", &job_of(&failed)]).stdout;
    let output: Value = serde_json::from_slice(&output).unwrap();
    let told = (&output["code"], &output["exit_status"]);
    assert_eq!(told, (&json!("command_failed"), &json!(4)));
    let followed = text(&world.smcp(&["jobs", "tail", &job_of(&failed)]).stdout);
    assert!(followed.contains("why"), "{followed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_in_a_sandbox_of_its_own() {
    let (world, _roles) = listing(COMMANDS, |world| world).started();
    let client = world.client().await;
    let limits = |answer: &Value| answer["sandbox"]["limits"]["memory_mb"].clone();
    let dry = world.smcp_json(&["call", "shell__limited", "--dry-run"]);
    assert_eq!(limits(&dry), 100, "{dry}");
    let dry = world.smcp_json(&["call", "shell__restart", "service=web", "--dry-run"]);
    assert_eq!(limits(&dry), 512, "{dry}");

    let answer = client.call("shell__limited", json!({})).await;
    let told = answer.structured_content.clone().unwrap_or_default();
    assert_eq!(told["stdout"], "102400\n", "{}", text_of(&answer));
    let shown = text(&world.smcp(&["jobs", "show", &job_of(&answer)]).stdout);
    assert!(
        shown.contains("cold (the command has a sandbox of its own)"),
        "{shown}"
    );
    // The others share an interpreter that waits.
    eventually("a call is answered by a waiting interpreter", || {
        let calls = world.smcp_json(&["call", "shell__restart", "service=web", "--detach"]);
        let id = calls["id"].as_str()?;
        let job = world.smcp_json(&["jobs", "wait", id]);
        (job["attempts"][0]["sandbox"]["start"] == "warm").then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed_and_what_is_wrong_in_it_is_told() {
    let (world, _roles) = listing(COMMANDS, |world| world).started();
    let client = world.client().await;
    assert_eq!(problems(&world), [""; 0]);
    let more = "[commands.more]\ndescription = 'More'\nargv = ['echo', 'more']\n";
    let wrong = "[commands.wrong]\ndescription = 'Wrong'\nargv = ['sh', '-c', 'echo {x}']\nparameters.x.enum = ['a']\n";
    // As an editor does it.
    fs::write(world.outside("new"), format!("{COMMANDS}\n{more}\n{wrong}")).unwrap();
    fs::rename(world.outside("new"), world.outside("commands.toml")).unwrap();
    eventually("the new command is offered", || {
        tools(&world).contains(&json!("shell__more")).then_some(())
    });
    assert_eq!(stdout(&client, "shell__more", json!({})).await, "more\n");
    assert!(!tools(&world).contains(&json!("shell__wrong")));
    let problems = problems(&world).join("\n");
    assert!(problems.contains("commands.wrong.argv has"), "{problems}");

    fs::remove_file(world.outside("commands.toml")).unwrap();
    eventually("nothing is offered", || {
        tools(&world).is_empty().then_some(())
    });
    let (code, _) = failure_of(&client.call("shell__more", json!({})).await);
    assert_eq!(code, "tool_removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_another_plugin_to_whoever_accepts_plugins() {
    let pinned = |world: World| world.with("SMCP_PLUGINS_PIN", "require");
    let (world, _roles) = listing(COMMANDS, pinned).started();
    let client = world.client().await;
    let web = json!({"service": "web"});
    assert_eq!(
        stdout(&client, "shell__restart", web.clone()).await,
        "restarted web\n"
    );
    let changed = COMMANDS.replace("restarted", "removed");
    fs::write(world.outside("commands.toml"), &changed).unwrap();
    // Whether the change has been noticed or not.
    let (code, _) = failure_of(&client.call("shell__restart", web.clone()).await);
    assert_eq!(code, "plugin_quarantined");
    fs::write(world.outside("commands.toml"), COMMANDS).unwrap();
    eventually("it is what was accepted", || {
        tools(&world)
            .contains(&json!("shell__restart"))
            .then_some(())
    });

    fs::write(world.outside("commands.toml"), changed).unwrap();
    eventually("it is quarantined", || {
        tools(&world).is_empty().then_some(())
    });
    let accepted = world.smcp_json(&["plugins", "accept", "shell", "--yes"]);
    assert_eq!(accepted["served"], true, "{accepted}");
    assert_eq!(
        stdout(&client, "shell__restart", web).await,
        "removed web\n"
    );
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_granted_is_asked_for_and_one_that_is_not_set_is_not() {
    let world = World::new();
    let path = world.path("commands.toml");
    fs::write(&path, COMMANDS).unwrap();
    let file = path.display().to_string();
    let (world, roles) = world.with("SMCP_SHELL_COMMANDS", &file).started();
    assert!(tools(&world).is_empty());
    let told = problems(&world).join("\n");
    let line = format!("filesystem.read = [\"{file}\"]");
    assert!(told.contains("[sandbox.plugins.shell]"), "{told}");
    assert!(told.contains(&line), "{told}");
    drop(roles);

    world.configure(&format!("[sandbox.plugins.shell]\n{line}\n"));
    let (world, _roles) = world.started();
    eventually("the commands are offered", || {
        tools(&world)
            .contains(&json!("shell__limited"))
            .then_some(())
    });
    assert_eq!(problems(&world), [""; 0]);
    let client = world.client().await;
    assert_eq!(
        stdout(&client, "shell__limited", json!({})).await,
        "102400\n"
    );

    let (world, _roles) = World::new().started();
    assert_eq!((tools(&world).len(), problems(&world).len()), (0, 0));
    assert!(!world.log().contains("shell"), "{}", world.log());
}

/// A world in which these commands are listed, in a file that every plugin may read.
fn listing(commands: &str, with: impl FnOnce(World) -> World) -> World {
    let world = World::new();
    world.write_outside("commands.toml", commands);
    let file = world.outside("commands.toml").display().to_string();
    with(world.with("SMCP_SHELL_COMMANDS", file))
}

async fn stdout(client: &Client, tool: &'static str, arguments: Value) -> String {
    let answer = client.call(tool, arguments).await;
    let told = answer.structured_content.clone().unwrap_or_default();
    let stdout = told["stdout"].as_str().map(ToOwned::to_owned);
    stdout.unwrap_or_else(|| panic!("{answer:?}"))
}

fn tools(world: &World) -> Vec<Value> {
    listed(world)["tools"].as_array().unwrap().clone()
}

fn problems(world: &World) -> Vec<String> {
    let listed = listed(world);
    let problems = listed["problems"].as_array().unwrap().iter();
    problems.map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn listed(world: &World) -> Value {
    let mut listing = world.smcp_json(&["plugins", "list"]);
    let plugins = listing["plugins"].as_array_mut().unwrap();
    let listed = plugins.iter_mut().find(|listed| listed["name"] == "shell");
    listed.map(Value::take).unwrap()
}
