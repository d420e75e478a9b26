//! Secrets that plugins make: handed over to be stored, struck out of what is printed afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Role, World, eventually, failure_of, job_of, text, text_of};

const VALUE: &str = "7123:a s3cret/that+was \"made\"";
const OTHER: &str = "another one, 0815";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/secret_plugins")
}

fn reversed(value: &str) -> String {
    value.chars().rev().collect()
}

fn to_make(name: &str, value: &str) -> Value {
    json!({"name": name, "reversed": reversed(value)})
}

#[tokio::test]
async fn a_secret_that_a_call_hands_over_is_its_agents_and_nowhere_in_clear() {
    let (world, _roles) = World::new()
        .with("SMCP_LOG", "trace")
        .with_plugins(fixtures().display().to_string())
        .started();
    let client = world.client().await;
    // Once by a start of Python, and then by an interpreter that waits.
    for name in ["MADE_TOKEN", "MADE_FOR_ADA", "MADE_TOKEN"] {
        let answer = client.call("maker__make", to_make(name, VALUE)).await;
        let mark = format!("[redacted:{name}]");
        let line = format!("out {mark} {mark}");
        let told = text_of(&answer);
        assert!(told.starts_with(&line), "{told}");
        assert!(told.lines().all(|said| said == line), "{told}");
        let events = client
            .json("jobs__events", json!({"id": job_of(&answer)}))
            .await;
        let events = events.to_string();
        for said in ["log", "event"] {
            assert!(events.contains(&format!("{said} {mark}")), "{events}");
        }
    }
    let listed = world.smcp_json(&["secrets", "list"]);
    let stored = listed["secrets"].as_array().unwrap();
    let names: Vec<_> = stored.iter().map(|secret| &secret["name"]).collect();
    assert_eq!(names, ["MADE_FOR_ADA", "MADE_TOKEN"]);
    assert!(stored.iter().all(|secret| secret["agent"] == "local"));
    assert!(
        stored[0]["updated_by"]
            .as_str()
            .unwrap()
            .starts_with("worker:")
    );
    let made = client.call("maker__made", json!({})).await;
    assert_eq!(text_of(&made), reversed(VALUE));
    let audited = world.smcp_json(&["audit", "search", "--kind", "secret.set"]);
    assert!(audited.to_string().contains("MADE_FOR_ADA"), "{audited}");
    assert_eq!(
        world.holding(&[VALUE.to_owned(), VALUE.replace('"', "\\\"")]),
        []
    );
    world.assert_sound();
}

#[tokio::test]
async fn a_call_whose_secret_is_not_stored_fails_and_tells_it_to_nobody() {
    let (world, roles) = World::new()
        .with_plugins(fixtures().display().to_string())
        .started();
    let client = world.client().await;
    let refused = async |name: &str, value: &str, why: &str| {
        let answer = client.call("maker__make", to_make(name, value)).await;
        let (code, message) = failure_of(&answer);
        assert_eq!(code, "secret_not_stored", "{message}");
        assert!(message.contains(why), "{message}");
        let job = client
            .json("jobs__get", json!({"id": job_of(&answer)}))
            .await;
        assert_eq!(job["state"], "failed", "nothing is tried again: {job}");
    };
    refused("MADE_OTHER", OTHER, "does not declare MADE_OTHER").await;
    refused("MADE-TOKEN", OTHER, "cannot be the name").await;
    refused("MADE_TOKEN", "abc", "at least 4").await;
    assert_eq!(world.smcp_json(&["secrets", "list"])["secrets"], json!([]));
    assert_eq!(world.holding(&[OTHER.to_owned()]), []);
    // What cannot be read may be a secret all the same: it is not passed on.
    refused("CUT", OTHER, "no JSON").await;
    // A key that is not the right one.
    world.set_secret(&["SOMETHING"], "something else");
    drop(roles);
    fs::write(world.path("secrets.key"), "0f".repeat(32)).unwrap();
    let (world, _roles) = world.started();
    let client = world.client().await;
    let answer = client
        .call("maker__make", to_make("MADE_TOKEN", OTHER))
        .await;
    let (code, message) = failure_of(&answer);
    assert_eq!(code, "secret_not_stored");
    assert!(message.contains("worker's log"), "{message}");
}

/// A plugins directory with the plugin botfather as it is, and a scripted Telegram in the place of Telethon.
fn botfather(script: &Value) -> TempDir {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("botfather");
    let scripted = plugins.join("tests/scripted");
    let mut copy = Command::new("cp");
    copy.args(["-rL", "--"]).arg(plugins.join("botfather"));
    assert!(copy.arg(&plugin).status().unwrap().success());
    let mut copy = Command::new("cp");
    copy.args(["-r", "--"])
        .args([scripted.join("telethon"), scripted.join("python_socks.py")]);
    assert!(copy.arg(&plugin).status().unwrap().success());
    fs::write(plugin.join("script.json"), script.to_string()).unwrap();
    // Plugins may be another user than this one.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn served(plugins: &TempDir) -> (World, [Role; 2]) {
    let directory = plugins.path().display().to_string();
    World::new().with_plugins(directory).started()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_bots_token_is_stored_and_told_to_nobody() {
    let script = json!({"bots": ["a_bot"], "taken": ["b_bot"], "too_many": {"c_bot": 58_000}});
    let directory = botfather(&script);
    let (world, _roles) = served(&directory);
    let client = world.client().await;
    let (code, message) = failure_of(&client.call("botfather__list-bots", json!({})).await);
    assert_eq!(code, "secret_missing", "{message}");
    world.set_secret(&["TELEGRAM_SESSION"], "1scripted");
    world.set_secret(&["TELEGRAM_API_ID"], "1234567");
    world.set_secret(&["TELEGRAM_API_HASH"], "0123456789abcdef");
    let listed = client.json("botfather__list-bots", json!({})).await;
    assert_eq!(listed["bots"], json!(["@a_bot"]));
    let new = |username: &str| json!({"name": "Tetris", "username": username});
    let made = client.json("botfather__new-bot", new("Tetris_bot")).await;
    assert_eq!(made["result"], "Created bot @Tetris_bot");
    assert_eq!(made["secret"], "TELEGRAM_BOT_TOKEN_TETRIS_BOT");
    let secrets = world.smcp_json(&["secrets", "list"]);
    assert!(
        secrets
            .to_string()
            .contains("TELEGRAM_BOT_TOKEN_TETRIS_BOT")
    );
    let (code, message) = failure_of(&client.call("botfather__new-bot", new("b_bot")).await);
    assert_eq!(code, "plugin_error");
    assert!(message.contains("choose another username"), "{message}");
    // BotFather says when: the queue keeps it.
    let later = client.submit("botfather__new-bot", new("c_bot")).await;
    let job = eventually("it waits for its second attempt", || {
        let job = world.smcp_json(&["jobs", "show", &later]);
        let waits = job["state"] == "queued" && job["attempts"][0]["outcome"] == "failed";
        waits.then_some(job)
    });
    let at = |value: &Value| value.as_i64().unwrap();
    let waits_ms = at(&job["run_at"]) - at(&job["attempts"][0]["ended_at"]);
    assert!((57_000_000..59_000_000).contains(&waits_ms), "{job}");
    let scripted = directory.path().join("botfather/telethon/botfather.py");
    let scripted = fs::read_to_string(scripted).unwrap();
    let token = scripted
        .split('"')
        .find(|text| text.starts_with("7123456789:"));
    assert_eq!(world.holding(&[token.unwrap().to_owned()]), []);
}

#[test]
fn a_login_needs_a_terminal_and_says_what_to_do() {
    let world = World::new();
    let mut command = world.command(&["telegram", "login"]);
    let refused = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(
        said.contains("needs a terminal") && said.contains("smcp secrets set TELEGRAM_SESSION"),
        "{said}"
    );
}

#[tokio::test]
async fn a_login_on_a_terminal_stores_the_session_and_shows_nothing_of_it() {
    let directory = botfather(&json!({"password": "pass word"}));
    let (world, _roles) = served(&directory);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let smcp = world.command(&["telegram", "login", "--agent", "local"]);
    let mut typed = Command::new("python3");
    typed.arg(root.join("tests/it/typed.py"));
    typed.args([
        "12345",
        "0123456789abcdef",
        "+49301",
        "12345",
        "pass word",
        "--",
    ]);
    typed.arg(smcp.get_program()).args(smcp.get_args());
    for (name, value) in smcp.get_envs() {
        match value {
            Some(value) => typed.env(name, value),
            None => typed.env_remove(name),
        };
    }
    if let Some(directory) = smcp.get_current_dir() {
        typed.current_dir(directory);
    }
    let done = typed.output().unwrap();
    let shown = text(&done.stdout);
    assert!(done.status.success(), "{shown}{}", text(&done.stderr));
    assert!(
        shown.contains("logged in as @ada; stored for the agent local:"),
        "{shown}"
    );
    let secrets = [
        "0123456789abcdef",
        "pass word",
        "1the+session/of=a_scripted_login",
    ];
    assert!(
        secrets.iter().all(|secret| !shown.contains(secret)),
        "{shown}"
    );
    let listed = world.smcp_json(&["secrets", "list"]);
    let names: Vec<_> = listed["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|secret| &secret["name"])
        .collect();
    assert_eq!(
        names,
        ["TELEGRAM_API_HASH", "TELEGRAM_API_ID", "TELEGRAM_SESSION"]
    );
    assert_eq!(world.holding(&[secrets[2].to_owned()]), []);
    let client = world.client().await;
    let listed = client.json("botfather__list-bots", json!({})).await;
    assert_eq!(listed["bots"], json!([]));
}
