//! The live catalogue: plugins that come, change and go while everything runs, and who is told of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use rmcp::model::Tool;
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::http::{Events, Session, Transport, request};
use crate::world::{PATIENCE, Role, World, eventually, failure_of, text_of};

#[tokio::test(flavor = "multi_thread")]
async fn plugins_come_change_and_go_without_a_restart_and_sessions_are_told() {
    let (world, _roles) = without_plugins();
    let plugins = world.path("plugins");
    let client = world.client().await;
    let mut told = Told::connect(&world, None).await;
    let mut sse = Session::open(&world, Transport::Sse).await;

    write_plugin(&plugins, "one", "say", "first");
    write_plugin(&plugins, "two", "say", "second");
    told.until(|tools| has(tools, "one__say") && has(tools, "two__say"))
        .await;
    assert_eq!(
        sse.heard().await["method"],
        "notifications/tools/list_changed"
    );
    assert_eq!(text_of(&client.call("one__say", json!({})).await), "first");

    let described = || fs::read_to_string(world.outside("described")).unwrap();
    let before = described();
    write_plugin(&plugins, "one", "say", "changed");
    told.until(|tools| tools.iter().any(|tool| description(tool) == "changed"))
        .await;
    assert_eq!(
        text_of(&client.call("one__say", json!({})).await),
        "changed"
    );
    let since = described()[before.len()..].to_owned();
    assert!(
        since.contains("one") && !since.contains("two"),
        "only what has changed is described again: {since}"
    );

    fs::remove_dir_all(plugins.join("one")).unwrap();
    told.until(|tools| !has(tools, "one__say")).await;
    for name in ["one__say", "one.say"] {
        let (code, message) = failure_of(&client.call(name, json!({})).await);
        assert_eq!(code, "tool_removed");
        for part in ["'one__say' any more", "plugin one", "tools/list"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    let refused = client.call("one__say", json!({})).await;
    let details = &refused.structured_content.unwrap()["error"];
    assert_eq!(
        (&details["plugin"], &details["tool"]),
        (&json!("one"), &json!("one__say"))
    );
    assert!(details["removed_at"].is_i64(), "{details}");
    let never = client.call("one__tell", json!({})).await;
    assert_eq!(failure_of(&never).0, "unknown_tool");

    write_plugin(&plugins, "one", "say", "back");
    told.until(|tools| tools.iter().any(|tool| description(tool) == "back"))
        .await;
    assert_eq!(text_of(&client.call("one__say", json!({})).await), "back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_half_written_is_a_problem_and_heals() {
    let (world, _roles) = without_plugins();
    let plugins = world.path("plugins");
    let client = world.client().await;
    fs::create_dir(plugins.join("half")).unwrap();
    fs::write(plugins.join("half/cli.py"), "print('{\"comm").unwrap();
    let problems = || world.smcp_json(&["plugins", "list"])["plugins"][0]["problems"].clone();
    eventually("the plugin is refused", || {
        problems().as_array().filter(|said| !said.is_empty())?;
        Some(())
    });
    let whole = "print('{\"commands\": [{\"name\": \"say\"}]}')";
    fs::write(plugins.join("half/cli.py"), whole).unwrap();
    eventually("the plugin has healed", || {
        (problems() == json!([])).then_some(())
    });
    let called = client.call("half__say", json!({})).await;
    assert!(text_of(&called).contains("commands"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_may_come_later_and_be_replaced() {
    let (world, _roles) = without_plugins();
    let plugins = world.path("plugins");
    let mut told = Told::connect(&world, None).await;
    fs::remove_dir(&plugins).unwrap();
    write_plugin(&world.path("first"), "one", "say", "first");
    fs::rename(world.path("first"), &plugins).unwrap();
    told.until(|tools| tools.iter().any(|tool| description(tool) == "first"))
        .await;
    write_plugin(&world.path("second"), "one", "say", "second");
    fs::remove_dir_all(&plugins).unwrap();
    fs::rename(world.path("second"), &plugins).unwrap();
    told.until(|tools| tools.iter().any(|tool| description(tool) == "second"))
        .await;
    write_plugin(&plugins, "one", "say", "third");
    told.until(|tools| tools.iter().any(|tool| description(tool) == "third"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_a_plugin_causes_no_scan() {
    let (world, _roles) = without_plugins();
    let plugins = world.path("plugins");
    let client = world.client().await;
    // It cannot leave anything behind; what Python and others leave who run it by hand is written here. It is still at
    // work when that would have been noticed.
    let says = "import os, sys, time, more\n\
         here = os.path.dirname(os.path.abspath(__file__))\n\
         try:\n    open(here + '/.state', 'w')\n    sys.exit('it can write to its own directory')\n\
         except OSError:\n    pass\n\
         print('{\"commands\": [{\"name\": \"run\"}]}')\n\
         time.sleep(0 if sys.argv[1] == '--describe' else 0.7)\n";
    let prepared = world.path("prepared");
    fs::create_dir(&prepared).unwrap();
    fs::write(prepared.join("cli.py"), says).unwrap();
    fs::write(prepared.join("more.py"), "x = 1").unwrap();
    let scans = || {
        let sql = world.sql();
        let count = "SELECT count(*) FROM audit WHERE kind = 'plugins.scan_requested'";
        sql.query_row(count, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let appears = |name: &str| {
        fs::rename(&prepared, plugins.join(name)).unwrap();
        eventually("the plugin has been found", || {
            let sql = world.sql();
            let known = "SELECT count(*) FROM plugins WHERE name = ?1";
            (sql.query_row(known, [name], |row| row.get::<_, i64>(0)) == Ok(1)).then_some(())
        });
    };
    let at_first = scans();
    appears("one");
    assert_eq!(scans(), at_first + 1);
    for run in ["first", "second"] {
        fs::create_dir_all(plugins.join("one/__pycache__")).unwrap();
        for left in ["one/__pycache__/own.pyc", "one/.state"] {
            fs::write(plugins.join(left), run).unwrap();
        }
        let ran = client.call("one__run", json!({})).await;
        assert!(text_of(&ran).contains("commands"), "{ran:?}");
    }
    assert_eq!(scans(), at_first + 1);
    write_plugin(
        &world.path("more"),
        "prepared",
        "say",
        "one change, one scan",
    );
    fs::rename(world.path("more/prepared"), &prepared).unwrap();
    appears("two");
    assert_eq!(scans(), at_first + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_chooses_its_tools_is_told_and_others_are_not() {
    let world = World::new().with("MCP_API_KEY", "secret");
    let (world, _roles) = world.started();
    let (mut first, mut second) = (
        Told::connect(&world, None).await,
        Told::connect(&world, None).await,
    );
    let mut other = Told::connect(&world, Some("secret")).await;
    let choose = json!({"action": "detach", "tool": "demo_text__echo"});
    let client = world.client().await;
    client.json("sanctum__tools", choose.clone()).await;
    for session in [&mut first, &mut second] {
        session.until(|tools| !has(tools, "demo_text__echo")).await;
    }
    let client = world.client_with_key("secret").await;
    client.json("sanctum__tools", choose).await;
    other.until(|tools| !has(tools, "demo_text__echo")).await;
    assert!(other.heard.is_empty(), "told once, of its own choice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_told_until_the_server_ends() {
    let (world, [api, _worker]) = without_plugins();
    let body = json!({
        "jsonrpc": "2.0", "id": "mine", "method": "subscriptions/listen",
        "params": {
            "notifications": {"toolsListChanged": true, "promptsListChanged": true},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    });
    let listening = request(Method::POST, &format!("{}/mcp", world.url()))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "subscriptions/listen")
        .body(body.to_string());
    let mut events = Events::of(listening.send().await.unwrap());
    let mut next = async || -> Option<Value> {
        let event = tokio::time::timeout(PATIENCE, events.next_or_end()).await;
        serde_json::from_str(&event.unwrap()?).unwrap()
    };
    let acknowledged = next().await.unwrap();
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({"toolsListChanged": true}),
        "there are no prompts"
    );
    for text in ["first", "second"] {
        write_plugin(&world.path("plugins"), "one", "say", text);
        let told = next().await.unwrap();
        assert_eq!(told["method"], "notifications/tools/list_changed");
        let meta = &told["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/subscriptionId"], "mine");
    }
    api.terminate();
    while next().await.is_some() {}
    assert_eq!(api.wait(), Some(0));
}

/// A world with one API, one worker, and an empty directory `plugins`.
fn without_plugins() -> (World, [Role; 2]) {
    let world = World::new();
    let plugins = world.path("plugins");
    fs::create_dir(&plugins).unwrap();
    world.with_plugins(plugins.display().to_string()).started()
}

/// Writes a plugin whose only command answers `text`, which is its description, too. It notes in `outside`, beside
/// `plugins`, when it is described.
pub(crate) fn write_plugin(plugins: &Path, name: &str, command: &str, text: &str) {
    let directory = plugins.join(name);
    fs::create_dir_all(&directory).unwrap();
    let commands = json!([{"name": command, "description": text, "effect": "read_only"}]);
    let described = plugins.with_file_name("outside/described");
    let program = format!(
        "#!/bin/sh\numask 0\nif [ \"$1\" = --describe ]; then echo {name} >> '{}'; echo '{}'; else echo '{text}'; fi\n",
        described.display(),
        json!({ "commands": commands }),
    );
    // As an editor does it: another file takes the place of the one that may be running.
    let draft = directory.join(".draft");
    fs::write(&draft, program).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, directory.join("cli")).unwrap();
}

fn has(tools: &[Tool], name: &str) -> bool {
    tools.iter().any(|tool| tool.name == name)
}

fn description(tool: &Tool) -> &str {
    tool.description.as_deref().unwrap_or_default()
}

/// A client that is told when its tools change.
pub(crate) struct Told {
    service: RunningService<RoleClient, Ear>,
    heard: mpsc::UnboundedReceiver<()>,
}

struct Ear(mpsc::UnboundedSender<()>);

impl ClientHandler for Ear {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.0.send(()).unwrap_or_default();
    }
}

impl Told {
    pub(crate) async fn connect(world: &World, key: Option<&str>) -> Self {
        let mut config =
            StreamableHttpClientTransportConfig::with_uri(format!("{}/mcp", world.url()));
        config.auth_header = key.map(ToOwned::to_owned);
        let (sender, heard) = mpsc::unbounded_channel();
        let transport = StreamableHttpClientTransport::from_config(config);
        let service = Ear(sender).serve(transport).await.unwrap();
        let info = service.peer_info().unwrap();
        let declared = info.capabilities.tools.as_ref().unwrap().list_changed;
        assert_eq!(declared, Some(true));
        Self { service, heard }
    }

    /// Waits until it has been told, and then, as often as it is told, for a list that `is` as it should be.
    pub(crate) async fn until(&mut self, is: impl Fn(&[Tool]) -> bool) {
        let told = async {
            loop {
                self.heard.recv().await.expect("the session goes on");
                if is(&self.service.list_all_tools().await.unwrap()) {
                    return;
                }
            }
        };
        let patience = PATIENCE + Duration::from_secs(1);
        let told = tokio::time::timeout(patience, told).await;
        assert!(told.is_ok(), "the client has not been told");
    }
}
