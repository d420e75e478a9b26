//! Secrets: set by operators, given to the calls that declare them, and told by nobody.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::world::{World, eventually, failure_of, job_of, text, text_of};

const TOKEN: &str = "s3cr3t/token+with \"quotes\" & <brackets>? \u{e9}";
const KEY: &str = "-----BEGIN KEY-----\nMIIB~x/y+z==\nsecond line\n-----END KEY-----";
const PASSWORD: &str = "pa55word\\of the caller%";
const NESTED: &str = "nested&secret=value";

impl World {
    /// Runs the `smcp` command with that on its standard input.
    fn smcp_reading(&self, input: &str, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let pipes = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn set_secret(&self, arguments: &[&str], value: &str) {
        let set = self.smcp_reading(value, &[&["secrets", "set"], arguments].concat());
        assert!(set.status.success(), "{}", text(&set.stderr));
    }

    /// The files of the data directory in which one of these texts stands, each with the first.
    pub(crate) fn holding(&self, texts: &[String]) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut directories = vec![self.data().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    directories.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    found.extend(first_in(&bytes, texts).map(|text| (path, text.clone())));
                }
            }
        }
        found
    }
}

fn first_in<'t>(bytes: &[u8], texts: &'t [String]) -> Option<&'t String> {
    let holds = |text: &&String| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    texts.iter().find(holds)
}

/// The shapes of values that no file may have, as Python makes them.
fn shapes(values: &[&str]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/plugins/keeper/shapes.py");
    let printed = Command::new("python3")
        .arg(script)
        .args(values)
        .output()
        .unwrap();
    let shapes: Vec<Vec<String>> = serde_json::from_slice(&printed.stdout).unwrap();
    assert!(shapes.iter().all(|shapes| shapes.len() == 20), "{shapes:?}");
    shapes.into_iter().flatten().collect()
}

/// As the plugin shows what it has got: no encoding that anybody would look for.
fn reversed(value: &str) -> String {
    value.chars().rev().collect()
}

#[tokio::test]
async fn a_call_gets_the_secrets_that_its_command_declares() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let (code, message) = failure_of(&client.call("keeper__show", json!({})).await);
    assert_eq!(code, "secret_missing");
    assert!(
        message.contains("smcp secrets set KEEPER_TOKEN"),
        "{message}"
    );
    world.set_secret(&["KEEPER_TOKEN"], &format!("{TOKEN}\n"));
    let show = async || {
        let answer = client.call("keeper__show", json!({})).await;
        serde_json::from_str::<Value>(&text_of(&answer)).unwrap()
    };
    let shown = show().await;
    assert_eq!(
        shown["env"]["KEEPER_TOKEN"],
        reversed(TOKEN),
        "one line end is dropped"
    );
    assert_eq!(shown["key"], json!({}), "it is not required");
    // The caller's own goes before everybody's, and what is set counts for the next call.
    world.set_secret(&["KEEPER_TOKEN", "--agent", "local"], "the caller's own");
    world.set_secret(&["KEEPER_TOKEN", "--agent", "ada"], "somebody else's");
    world.set_secret(&["keeper_key"], KEY);
    world.set_secret(&["KEEPER_OTHER"], "for another command");
    for _warm in 0..2 {
        let shown = show().await;
        assert_eq!(
            shown,
            json!({"env": {"KEEPER_TOKEN": reversed("the caller's own"), "KEEPER_OTHER": null},
                   "key": {"reversed": reversed(KEY), "mode": "0o400", "in_scratch": true}})
        );
    }
    let nothing = text_of(&client.call("keeper__nothing", json!({})).await);
    let nothing: Value = serde_json::from_str(&nothing).unwrap();
    assert_eq!(
        nothing,
        json!({"env": {"KEEPER_TOKEN": null, "KEEPER_OTHER": null}, "key": {}})
    );
    let removed = world.smcp(&["secrets", "remove", "KEEPER_TOKEN", "--agent", "local"]);
    assert_eq!(
        text(&removed.stdout),
        "KEEPER_TOKEN is removed for the agent local\n"
    );
    assert_eq!(show().await["env"]["KEEPER_TOKEN"], reversed(TOKEN));
}

#[tokio::test]
async fn twenty_shapes_of_planted_secrets_are_nowhere() {
    let (world, roles) = World::new().with("SMCP_LOG", "trace").started();
    world.set_secret(&["KEEPER_TOKEN"], TOKEN);
    world.set_secret(&["keeper_key", "--agent", "local"], KEY);
    let mut planted = shapes(&[TOKEN, KEY, PASSWORD, NESTED]);
    // The last shape is the first with a line end, which files may well have by chance.
    planted.retain(|shape| !shape.ends_with('\n'));
    let client = world.client().await;
    let arguments = |how: &str| json!({"pass_word": PASSWORD, "more": {"a": NESTED}, "how": how});
    let mut told = Vec::new();
    for how in ["text", "error", "killed"] {
        let answer = client.call("keeper__leak", arguments(how)).await;
        let job = job_of(&answer);
        assert!(
            text_of(&answer).contains("out [redacted:KEEPER_TOKEN] end"),
            "{answer:?}"
        );
        told.push(serde_json::to_string(&answer).unwrap());
        for tool in ["jobs__get", "jobs__events"] {
            let shown = client.json(tool, json!({"id": job})).await;
            let shown = shown.to_string();
            assert!(!shown.is_empty());
            told.push(shown);
        }
        let shown = client.json("jobs__get", json!({"id": job})).await;
        assert_eq!(
            shown["arguments"],
            json!({"pass-word": "[redacted]", "more": "[redacted]", "how": how})
        );
        for command in [["jobs", "show"], ["jobs", "output"], ["jobs", "tail"]] {
            let output = world.smcp(&[&command[..], &[job.as_str()]].concat());
            told.push(text(&output.stdout) + &text(&output.stderr));
        }
    }
    // One that nobody claims is no different.
    drop(roles);
    let mut world = world;
    let _api = world.api();
    let client = world.client().await;
    let request = json!({"tool": "keeper__leak", "arguments": arguments("text")});
    client.json("jobs__submit", request).await;
    for text in &told {
        assert_eq!(first_in(text.as_bytes(), &planted), None, "{text}");
    }
    for mark in ["KEEPER_TOKEN", "keeper_key", "pass-word", "more"] {
        assert!(
            told.concat().contains(&format!("[redacted:{mark}]")),
            "{mark}"
        );
    }
    assert_eq!(world.holding(&planted), []);
    assert!(world.path("smcp.db-wal").exists());
    world.assert_sound();
}

#[tokio::test]
async fn what_would_be_kept_in_plain_is_refused() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let schedule = json!({"name": "n", "cron": "0 9 * * *", "tool": "keeper__leak",
                          "arguments": {"pass-word": PASSWORD}});
    let (code, message) = failure_of(&client.call("schedules__create", schedule).await);
    assert_eq!(code, "invalid_arguments");
    assert!(
        message.contains("smcp secrets set") && !message.contains(PASSWORD),
        "{message}"
    );
    let step = json!({"id": "a", "tool": "keeper__leak", "arguments": {"pass_word": PASSWORD}});
    let workflow = json!({"name": "w", "steps": [step]});
    let (code, message) = failure_of(&client.call("workflows__submit", workflow).await);
    assert_eq!(code, "invalid_workflow");
    assert!(
        message.contains("arguments.pass-word: it is secret"),
        "{message}"
    );
    assert_eq!(world.holding(&[PASSWORD.to_owned()]), []);
}

#[tokio::test]
async fn a_call_within_a_denied_one_is_recorded_without_its_secrets() {
    let (world, _roles) = World::running();
    let client = world.client().await;
    let call = |tool: &str, arguments: Value| json!({"tool": tool, "agent": "local", "arguments": arguments});
    for tool in ["keeper__leak", "gone__leak"] {
        let secret = call(tool, json!({"pass_word": PASSWORD}));
        let case = json!({"name": "n", "agent": "local", "tool": tool, "args": secret["arguments"], "expect": "deny"});
        for (builtin, arguments) in [
            ("policy__explain", secret),
            ("policy__test", json!({"cases": [case]})),
        ] {
            let answer = client.call(builtin, arguments).await;
            assert_eq!(failure_of(&answer).0, "not_allowed", "{builtin}");
        }
    }
    let harmless = call("demo_math__calculate", json!({"expression": "6*7"}));
    client.call("policy__explain", harmless).await;
    let denied = world.smcp_json(&["audit", "search", "--kind", "call.denied"]);
    let shown = |n: usize, argument: &str| denied[n]["data"]["arguments"][argument].clone();
    assert_eq!(shown(0, "arguments"), json!({"expression": "6*7"}));
    assert_eq!(shown(1, "cases"), "[redacted]");
    assert_eq!(shown(2, "arguments"), "[redacted]");
    assert_eq!(denied.as_array().unwrap().len(), 5);
    assert_eq!(world.holding(&[PASSWORD.to_owned()]), []);
}

#[tokio::test]
async fn an_operator_keeps_secrets_by_the_command_line() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/plugins");
    let (world, _roles) = World::new().with_plugins(fixtures).started();
    let refused = |input: &str, arguments: &[&str]| {
        let output = world.smcp_reading(input, &[&["secrets"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(refused("abc\n", &["set", "T"]).contains("at least 4"));
    assert!(refused(&"x".repeat(65_537), &["set", "T"]).contains("65536"));
    assert!(refused("long enough", &["set", "1T"]).contains("cannot be the name"));
    assert!(refused("a\0bcd", &["set", "T"]).contains("zero byte"));
    assert!(refused("", &["set", "T", "value"]).contains("unexpected argument"));
    world.set_secret(&["KEEPER_TOKEN"], TOKEN);
    let listed = world.smcp_json(&["secrets", "list"]);
    assert_eq!(
        listed["secrets"][0]["tools"],
        json!(["keeper__leak", "keeper__show"])
    );
    let missing: Vec<_> = listed["missing"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|m| m["tools"].to_string().contains("keeper__"))
        .map(|m| &m["name"])
        .collect();
    assert_eq!(missing, ["KEEPER_OTHER", "keeper_key"]);
    assert!(!listed.to_string().contains("s3cr3t"));
    let shown = text(&world.smcp(&["secrets", "list"]).stdout);
    assert!(
        shown.contains("missing: KEEPER_OTHER, needed by keeper__other"),
        "{shown}"
    );
    let rotated = world.smcp_json(&["secrets", "rotate-key"]);
    assert_eq!(rotated["secrets"], 1);
    // Another agent neither sees nor changes them.
    let client = world.client().await;
    for tool in ["secrets__list", "secrets__rotate_key"] {
        assert_eq!(
            failure_of(&client.call(tool, json!({})).await).0,
            "not_allowed"
        );
    }
    let set = client
        .call(
            "secrets__set",
            json!({"name": "T", "value": "another value"}),
        )
        .await;
    assert_eq!(failure_of(&set).0, "not_allowed");
    assert_eq!(world.holding(&["another value".to_owned()]), []);
    let answer = client.call("keeper__show", json!({})).await;
    assert!(
        text_of(&answer).contains(&json!(reversed(TOKEN)).to_string()),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_wrong_key_file_is_told_with_both_ids_and_the_call_fails() {
    let (world, roles) = World::running();
    world.set_secret(&["KEEPER_TOKEN"], TOKEN);
    let right = fs::read(world.path("secrets.key")).unwrap();
    drop(roles);
    fs::write(world.path("secrets.key"), "0f".repeat(32)).unwrap();
    let (world, _roles) = world.started();
    let refused = world.smcp_reading("something", &["secrets", "set", "T"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(
        said.contains("holds the key") && said.contains("sealed under the key"),
        "{said}"
    );
    let client = world.client().await;
    let (code, _) = failure_of(&client.call("keeper__show", json!({})).await);
    assert_eq!(code, "secret_unreadable");
    fs::write(world.path("secrets.key"), right).unwrap();
    let answer = client.call("keeper__show", json!({})).await;
    assert!(
        text_of(&answer).contains(&json!(reversed(TOKEN)).to_string()),
        "{answer:?}"
    );
}

/// A server that answers one request as Letta does; answers where it is, and at its end what it was asked.
fn letta(answer: &Value) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = answer.to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        text(&asked)
    });
    (url, served)
}

#[tokio::test]
async fn the_secrets_of_a_letta_server_are_imported_for_one_agent() {
    let (world, _roles) = World::running();
    let agents = json!([
        {"id": "agent-1", "tool_exec_environment_variables": [{"key": "KEEPER_TOKEN", "value": "old"}],
         "secrets": [{"key": "KEEPER_TOKEN", "value": TOKEN}, {"key": "SHORT", "value": "x"}]},
    ]);
    let (url, served) = letta(&agents);
    let import = |url: &str, more: &[&str]| {
        let mut command = world.command(&[&["secrets", "import-letta"], more].concat());
        command
            .env("HOME", world.data())
            .env("LETTA_SERVER_URL", url);
        command
            .env("LETTA_SERVER_PASSWORD", "letta's password")
            .output()
            .unwrap()
    };
    let nobody = import(&url, &[]);
    assert_eq!(nobody.status.code(), Some(2), "for whom must be said");
    let imported = import(&url, &["--agent", "local"]);
    assert_eq!(imported.status.code(), Some(1), "one was skipped");
    assert_eq!(
        text(&imported.stdout),
        format!("stored 1 secret of {url} for the agent local\n  KEEPER_TOKEN\n")
    );
    assert!(text(&imported.stderr).contains("SHORT is skipped"));
    let asked = served.join().unwrap();
    assert!(
        asked.starts_with("GET /v1/agents?limit=100&include=agent.secrets "),
        "{asked}"
    );
    assert!(
        asked.contains("authorization: Bearer letta's password"),
        "{asked}"
    );
    let client = world.client().await;
    let answer = client.call("keeper__show", json!({})).await;
    assert!(
        text_of(&answer).contains(&json!(reversed(TOKEN)).to_string()),
        "{answer:?}"
    );
    let refused = import("https://127.0.0.1:1", &["--everybody"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("no TLS"));
    eventually("the import is over", || served_is_gone(&url).then_some(()));
    let unreachable = import(&url, &["--everybody"]);
    assert_eq!(unreachable.status.code(), Some(1));
    assert!(text(&unreachable.stderr).contains("cannot reach the Letta server"));
}

fn served_is_gone(url: &str) -> bool {
    std::net::TcpStream::connect(url.trim_start_matches("http://")).is_err()
}
