//! Agents: added, put into groups, limited and revoked.

use std::fs;

use serde_json::{Value, json};

use crate::naps::Naps;
use crate::world::{Client, World, eventually, failure_of, text};

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_have_a_say_about_agents() {
    let mut world = World::new();
    let _api = world.api();
    let key = added(&world, &["ada", "--group", "users"]);
    let ada = world.client_with_key(&key).await;
    for tool in [
        "agents__add",
        "agents__groups",
        "agents__list",
        "agents__revoke",
        "agents__rotate",
        "agents__set",
    ] {
        let arguments = match tool {
            "agents__list" => json!({}),
            "agents__set" => json!({"name": "ada", "max_running": 0}),
            _ => json!({"name": "ada"}),
        };
        let (code, _) = failure_of(&ada.call(tool, arguments).await);
        assert_eq!(code, "not_allowed", "{tool}");
    }
    let operator = fs::read_to_string(world.path("operator.key")).unwrap();
    let operator = world.client_with_key(operator.trim()).await;
    let failure = async |tool, arguments| failure_of(&operator.call(tool, arguments).await);
    let rows = [
        (
            "agents__add",
            json!({"name": "ada"}),
            "agent_exists",
            "There is an agent 'ada' already.",
        ),
        (
            "agents__add",
            json!({"name": "local"}),
            "invalid_arguments",
            "'local' is a name that SMCP uses itself.",
        ),
        (
            "agents__add",
            json!({"name": "worker:1"}),
            "invalid_arguments",
            "'worker:1' is no name: write 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or a digit first.",
        ),
        (
            "agents__add",
            json!({"name": "x", "groups": ["Ops"]}),
            "invalid_arguments",
            "'Ops' is no name: write 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or a digit first.",
        ),
        (
            "agents__rotate",
            json!({"name": "eve"}),
            "no_such_agent",
            "There is no agent 'eve' that somebody has added.",
        ),
        (
            "agents__revoke",
            json!({"name": "legacy"}),
            "built_in_agent",
            "Agent 'legacy' has no key in the database: its keys are in MCP_API_KEY and MCP_API_KEYS: change them there, and restart.",
        ),
        (
            "agents__revoke",
            json!({"name": "ada", "key": "1"}),
            "no_such_key",
            "Agent 'ada' has no key 1.",
        ),
        (
            "agents__groups",
            json!({"name": "operator", "remove": ["operators"]}),
            "operator_stays",
            "The agent operator is always in the group operators.",
        ),
        (
            "agents__groups",
            json!({"name": "ada", "add": ["a"], "remove": ["a"]}),
            "invalid_arguments",
            "Group 'a' is both in 'add' and in 'remove'.",
        ),
        (
            "agents__groups",
            json!({"name": "ada"}),
            "invalid_arguments",
            "Give either 'set', or 'add' and 'remove' or one of them.",
        ),
    ];
    for (tool, arguments, code, message) in rows {
        assert_eq!(
            failure(tool, arguments.clone()).await,
            (code.to_owned(), message.to_owned()),
            "{tool} {arguments}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agents_jobs_wait_no_longer_and_run_on_unless_stopped() {
    let (world, _roles) = World::running();
    for (name, stop) in [("ada", false), ("bob", true)] {
        let key = added(&world, &[name, "--group", "users"]);
        let client = world.client_with_key(&key).await;
        let gate = format!("{name}.go");
        let napping = nap(&client, &world, &gate).await;
        eventually("the first job runs", || {
            let job = world.smcp_json(&["jobs", "show", &napping]);
            (job["state"] == "running").then_some(())
        });
        let waiting = nap(&client, &world, &gate).await;
        let schedule = json!({"name": "s", "cron": "0 0 1 1 *", "tool": "demo_text__echo", "arguments": {"message": "x"}});
        client.json("schedules__create", schedule).await;
        let mut arguments = vec!["agents", "revoke", name];
        arguments.extend(stop.then_some("--stop"));
        let told = said(&world, &arguments);
        let stopped = if stop {
            "; 1 running job told to stop"
        } else {
            ""
        };
        assert_eq!(
            told,
            format!(
                "{name} is revoked; 1 key ended; 1 waiting job cancelled{stopped}; 1 schedule paused\n"
            )
        );
        let cancelled = world.smcp_json(&["jobs", "show", &waiting]);
        assert_eq!(cancelled["state"], "cancelled");
        assert_eq!(cancelled["cancel"]["reason"], "its agent was revoked");
        world.write_outside(&gate, "");
        let ended = eventually("what ran has ended", || {
            let job = world.smcp_json(&["jobs", "show", &napping]);
            (job["state"] != "running").then_some(job)
        });
        assert_eq!(ended["state"], if stop { "cancelled" } else { "succeeded" });
    }
    let refused = world.smcp(&["agents", "revoke", "ada"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(text(&refused.stderr), "error: Agent 'ada' was revoked.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_that_an_agent_runs_at_a_time_are_limited_while_it_runs() {
    let (world, _roles) = World::running();
    let (_second, naps) = (world.worker(), Naps::of(&world));
    let key = added(&world, &["ada", "--group", "users", "--max-running", "1"]);
    let ada = world.client_with_key(&key).await;
    ada.submit("sleepy__nap", naps.until_open("first")).await;
    naps.started("first");
    let second = ada.submit("sleepy2__nap", naps.until_open("second")).await;
    let why = eventually("it is known why the second waits", || {
        let job = world.smcp_json(&["jobs", "show", &second]);
        job["waiting"][0]["message"].as_str().map(ToOwned::to_owned)
    });
    assert!(
        why.contains("'ada' has a job running, and may have no other"),
        "{why}"
    );
    let set = |most| said(&world, &["agents", "set", "ada", "--max-running", most]);
    assert_eq!(
        set("2"),
        "ada may have no more than 2 jobs running at a time\n"
    );
    naps.started("second");
    naps.open();
    assert_eq!(
        set("none"),
        "ada may have any number of jobs running at a time\n"
    );
    let agents = world.smcp_json(&["agents", "list"]);
    assert_eq!(of(&agents, "ada")["max_running"], Value::Null);
    assert_eq!(
        set("1"),
        "ada may have no more than 1 job running at a time\n"
    );
    for (arguments, code, message) in [
        (vec!["ada"], 2, "--max-running <N>"),
        (
            vec!["ada", "--max-running", "0"],
            2,
            "write a number from 1 to 1000000, or none",
        ),
        (
            vec!["eve", "--max-running", "1"],
            1,
            "There is no agent 'eve' that somebody has added.",
        ),
    ] {
        let refused = world.smcp(&[vec!["agents", "set"], arguments].concat());
        assert_eq!(refused.status.code(), Some(code));
        assert!(
            text(&refused.stderr).contains(message),
            "{}",
            text(&refused.stderr)
        );
    }
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_keys_and_groups() {
    let mut world = World::new();
    let _api = world.api();
    let new = world.smcp(&[
        "agents",
        "add",
        "ci",
        "--group",
        "users",
        "--group",
        "ops",
        "--max-running",
        "2",
    ]);
    let (key, told) = (text(&new.stdout), text(&new.stderr));
    assert_eq!(
        told,
        "added ci, in groups ops, users; its key, good until it is revoked:\n"
    );
    assert_eq!(
        (key.len(), key.lines().count()),
        (49, 1),
        "the key alone: {key}"
    );
    let groups =
        |arguments: &[&str]| said(&world, &[&["agents", "groups", "ci"], arguments].concat());
    assert_eq!(groups(&[]), "ci is in groups ops, users\n");
    assert_eq!(
        groups(&["--add", "a", "--remove", "ops"]),
        "ci is in groups a, users\n"
    );
    assert_eq!(groups(&["users"]), "ci is in group users\n");
    assert_eq!(groups(&["--remove", "users"]), "ci is in no group\n");
    let listed = said(&world, &["agents", "list"]);
    let lines: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0].join(" "),
        "AGENT GROUPS MAX RUNNING KEY BEGINS LAST USED EXPIRES"
    );
    assert_eq!(
        (&lines[1][..3], lines[1][4], &lines[1][5..]),
        (&["ci", "-", "2"][..], &key[..9], &["never", "never"][..])
    );
    assert_eq!(
        lines[3],
        ["local", "users", "-", "no", "key", "needed", "-", "-", "-"]
    );
    for wrong in [
        ["agents", "add", "Ci"].as_slice(),
        &["agents", "add", "operator"],
        &["agents", "add", "x", "--expires-in", "0s"],
        &["agents", "groups", "ci", "a", "--add", "b"],
        &["agents", "groups", "nobody"],
    ] {
        assert_eq!(world.smcp(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// Adds an agent, and answers its key.
pub(crate) fn added(world: &World, arguments: &[&str]) -> String {
    key(&world.smcp_json(&[&["agents", "add"], arguments].concat()))
}

/// The key in an answer that tells it.
pub(crate) fn key(answer: &Value) -> String {
    answer["key"].as_str().unwrap().to_owned()
}

/// What a command prints that succeeds.
pub(crate) fn said(world: &World, arguments: &[&str]) -> String {
    let output = world.smcp(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Submits a nap that lasts until a file is there.
async fn nap(client: &Client, world: &World, gate: &str) -> String {
    let until = world.outside(gate);
    let arguments = json!({"seconds": 600, "gate": until});
    client.submit("sleepy__nap", arguments).await
}

/// The agent of that name among all.
pub(crate) fn of<'a>(agents: &'a Value, name: &str) -> &'a Value {
    let mut agents = agents.as_array().unwrap().iter();
    agents.find(|agent| agent["name"] == name).unwrap()
}
