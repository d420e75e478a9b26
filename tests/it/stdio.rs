//! `smcp stdio`: MCP on standard input and output, with an API or without one.

use std::process::Stdio;

use rmcp::ServiceExt as _;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::naps::Naps;
use crate::processes;
use crate::world::{Client, World, below, eventually, job_of, signal, text, text_of};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"0"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// `smcp stdio` as its client started it.
struct Server(Child);

impl Server {
    async fn start(world: &World, arguments: &[&str]) -> (Self, Client) {
        let mut command = Command::from(world.command(&[&["stdio"], arguments].concat()));
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(world.path("log"));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .kill_on_drop(true);
        Self::of(&mut command).await
    }

    async fn of(command: &mut Command) -> (Self, Client) {
        let mut child = command.spawn().unwrap();
        let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        (Self(child), Client(().serve(pipes).await.unwrap()))
    }

    fn pid(&self) -> u32 {
        self.0.id().unwrap()
    }

    /// Waits for its end, and answers its exit status.
    async fn ended(mut self) -> Option<i32> {
        self.0.wait().await.unwrap().code()
    }
}

/// What `smcp stdio` says to these lines, and then to the end of its input; every line of it is JSON-RPC.
fn exchange(world: &World, arguments: &[&str], lines: &str) -> Vec<Value> {
    use std::io::Write as _;
    let command = world.command(&[&["stdio"], arguments].concat());
    let mut child = below(&["timeout", "60"], &command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let messages = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let messages: Vec<_> = messages.collect();
    for message in &messages {
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
    }
    messages
}

fn answer<'a>(messages: &'a [Value], id: &Value) -> &'a Value {
    let found = messages.iter().find(|message| message["id"] == *id);
    found.unwrap_or_else(|| panic!("no answer to {id}: {messages:?}"))
}

fn call(id: i64, tool: &str, arguments: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": tool, "arguments": arguments, "_meta": {"progressToken": id}
    }})
    .to_string()
}

fn text_in(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap()
}

#[test]
fn without_an_api_everything_that_was_asked_is_answered_after_the_input_has_ended() {
    let world = World::new();
    let lines = [
        INITIALIZE,
        INITIALIZED,
        r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#,
        // No line end behind the last one.
        &call(1, "demo_math__calculate", &json!({"expression": "6*7"})),
    ];
    let said = exchange(&world, &[], &lines.join("\n"));
    let hello = answer(&said, &json!("i"));
    assert_eq!(hello["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(hello["result"]["serverInfo"]["name"], "sanctum-letta-mcp");
    let tools = answer(&said, &json!("l"))["result"]["tools"].to_string();
    for tool in ["demo_math__calculate", "sleepy__nap", "jobs__list"] {
        assert!(tools.contains(&format!("\"{tool}\"")), "{tool}: {tools}");
    }
    assert!(text_in(answer(&said, &json!(1))).contains("\"result\": 42"));
    // Beside them it may be told that the tools have been found meanwhile.
    let answers = said.iter().filter(|message| !message["id"].is_null());
    assert_eq!(answers.count(), 3, "{said:?}");
    assert_eq!(world.workers(), [0_u32; 0], "its worker has ended with it");
    world.assert_sound();
}

#[test]
fn what_takes_long_is_answered_long_after_the_input_has_ended() {
    let world = World::new();
    // The protocol's library alone would wait for 5 s.
    let nap = call(1, "sleepy__nap", &Naps::of(&world).lasting(6.0, "n"));
    let said = exchange(
        &world,
        &[],
        &format!("{INITIALIZE}\n{INITIALIZED}\n{nap}\n"),
    );
    assert!(text_in(answer(&said, &json!(1))).contains("\"ok\": true"));
}

#[test]
fn nothing_but_messages_is_written_whatever_is_read_and_logged() {
    let world = World::new().with("SMCP_LOG", "debug,rmcp=debug");
    let long = format!("\"{}\"", "x".repeat(5 << 20));
    let steps = json!({"count": 3, "seconds": 0});
    let lines = [
        INITIALIZED,
        "{oops",
        r#"{"jsonrpc":"2.0","id":"early","method":"tools/list"}"#,
        INITIALIZE,
        INITIALIZED,
        "",
        "hello?",
        "7",
        r#"{"id":"shapeless"}"#,
        r#"{"jsonrpc":"2.0","id":"unknown","method":"tools/sing"}"#,
        r#"[3,{"jsonrpc":"2.0","id":"member","method":"ping"},{"id":"stranger"}]"#,
        &long,
        "\u{0}\u{1b}[31m",
        &call(1, "sleepy__steps", &steps),
        &call(2, "nonesuch", &json!({})),
        "",
    ];
    let said = exchange(&world, &[], &lines.join("\n"));
    let code = |id: &str| answer(&said, &json!(id))["error"]["code"].clone();
    assert_eq!(code("early"), -32602);
    assert_eq!(code("shapeless"), -32600);
    assert_eq!(code("stranger"), -32600);
    assert_eq!(code("unknown"), -32601);
    assert_eq!(answer(&said, &json!("member"))["result"], json!({}));
    let nameless = said
        .iter()
        .filter(|message| message.get("id") == Some(&Value::Null));
    let codes: Vec<_> = nameless
        .map(|message| message["error"]["code"].clone())
        .collect();
    assert_eq!(codes, [-32700, -32700, -32600, -32600, -32700, -32700]);
    let progress = said
        .iter()
        .filter(|message| message["method"] == "notifications/progress");
    assert!(progress.count() > 0, "{said:?}");
    assert!(text_in(answer(&said, &json!(1))).contains("\"ok\": true"));
    assert_eq!(answer(&said, &json!(2))["result"]["isError"], true);
}

#[test]
fn the_revision_without_initialize_is_served() {
    let world = World::new();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
    });
    let request = |id: i64, method: &str, mut params: Value| {
        params["_meta"] = meta.clone();
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    };
    let sum = json!({"name": "demo_math__calculate", "arguments": {"expression": "6*7"}});
    let lines = [
        request(1, "server/discover", json!({})),
        request(2, "tools/list", json!({})),
        request(3, "tools/call", sum),
        r#"{"jsonrpc":"2.0","id":4,"method":"tools/list"}"#.to_owned(),
    ];
    let said = exchange(&world, &[], &lines.join("\n"));
    let discovered = &answer(&said, &json!(1))["result"];
    let versions = discovered["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{discovered}");
    let listed = &answer(&said, &json!(2))["result"];
    assert_eq!(listed["resultType"], "complete");
    assert!(listed["tools"].to_string().contains("demo_math__calculate"));
    assert!(text_in(answer(&said, &json!(3))).contains("\"result\": 42"));
    assert_eq!(answer(&said, &json!(4))["error"]["code"], -32602);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_smcp_the_queue_is_shared_and_no_worker_is_started() {
    let mut world = World::new();
    let (_up, _) = world.up(1);
    let before = world.workers();
    let (server, client) = Server::start(&world, &[]).await;
    let counted = client
        .call("demo_text__word_count", json!({"text": "one two three"}))
        .await;
    assert!(text_of(&counted).contains("\"words\": 3"));
    assert_eq!(processes::children_of(server.pid()), [0_u32; 0]);
    assert_eq!(world.workers(), before);

    let id = job_of(&counted);
    let listed = world.smcp_json(&["jobs", "list"]);
    assert!(listed.to_string().contains(&id), "{listed}");
    let job = world.smcp_json(&["jobs", "show", &id]);
    assert_eq!(job["agent"], "local", "{job}");

    drop(client);
    assert_eq!(server.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_last_worker_has_gone_a_session_starts_its_own() {
    let world = World::new();
    let (first, one) = Server::start(&world, &[]).await;
    let (second, two) = Server::start(&world, &[]).await;
    let sum = json!({"expression": "6*7"});
    for client in [&one, &two] {
        let answer = client.call("demo_math__calculate", sum.clone()).await;
        assert!(text_of(&answer).contains("\"result\": 42"));
    }
    drop(one);
    assert_eq!(first.ended().await, Some(0));
    let answer = two.call("demo_math__calculate", sum.clone()).await;
    assert!(text_of(&answer).contains("\"result\": 42"));

    // One that dies is replaced.
    let [own] = world.workers().try_into().unwrap();
    assert_eq!(processes::children_of(second.pid()), [own]);
    signal(own, "KILL");
    let answer = two.call("demo_math__calculate", sum).await;
    assert!(text_of(&answer).contains("\"result\": 42"));
    drop(two);
    assert_eq!(second.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_wait_loses_nothing() {
    let world = World::new();
    // The first of several signals lets it wait for what it has begun.
    for name in ["-TERM", "-KILL"] {
        let (label, naps) = (format!("nap {name}"), Naps::of(&world));
        let mut command = Command::from(world.command(&["stdio"]));
        // Nobody reads its log any more either.
        let (log, pipe) = std::io::pipe().unwrap();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(pipe)
            .kill_on_drop(true);
        let (server, client) = Server::of(&mut command).await;
        drop(command);
        drop(log);
        let id = client
            .submit("sleepy__once-nap", naps.until_open(&label))
            .await;
        let nap = naps.started(&label);
        let pid = server.pid();
        let [worker] = processes::children_of(pid).try_into().unwrap();
        let ended = tokio::spawn(server.ended());
        eventually("it has ended", || {
            // The last one may come too late.
            drop(
                std::process::Command::new("kill")
                    .args([name, &pid.to_string()])
                    .output(),
            );
            ended.is_finished().then_some(())
        });
        let code = if name == "-KILL" { None } else { Some(0) };
        assert_eq!(ended.await.unwrap(), code);
        assert!(nap.is_running(), "its job goes on");
        naps.open();
        eventually("its worker has ended", || {
            (!processes::is_running(worker)).then_some(())
        });
        let state = "SELECT state FROM jobs WHERE id = ?1";
        let state: String = world
            .sql()
            .query_row(state, [id], |row| row.get(0))
            .unwrap();
        assert_eq!(state, "succeeded");
        std::fs::remove_file(world.outside("gate")).unwrap();
    }
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_worker_is_started_where_none_is_wanted() {
    let world = World::new();
    let (server, client) = Server::start(&world, &["--workers", "0"]).await;
    assert_eq!(client.json("health", json!({})).await["workers"], json!([]));
    drop(client);
    assert_eq!(server.ended().await, Some(0));

    let (server, client) = Server::start(&world, &["--workers", "2"]).await;
    eventually("two workers are there", || {
        (world.workers().len() == 2).then_some(())
    });
    drop(client);
    assert_eq!(server.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_more_has_left() {
    use tokio::io::AsyncWriteExt as _;
    let world = World::new();
    let mut command = Command::from(world.command(&["stdio"]));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(INITIALIZE.as_bytes()).await.unwrap();
    stdin.write_all(b"\n").await.unwrap();
    assert_eq!(Server(child).ended().await, Some(0));
    drop(stdin);
}

#[test]
fn what_cannot_be_used_is_told_on_standard_error() {
    let world = World::new().with("MCP_PLUGIN_TIMEOUT", "soon");
    let output = world.smcp(&["stdio"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(said.contains("MCP_PLUGIN_TIMEOUT"), "{said}");
}
