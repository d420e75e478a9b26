//! The HTTP+SSE transport.

use std::time::Duration;

use serde_json::{Value, json};
use smcp_api::http_config::{HttpConfig, Limits};
use tokio::time::timeout;

use crate::http::{Answer, Call, Events};
use crate::server::{Server, config};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"t","version":"0"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
pub(crate) const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// An initialized session of an agent, or of nobody in particular.
pub(crate) struct Session<'a> {
    server: &'a Server,
    key: &'a str,
    pub(crate) events: Events,
    endpoint: String,
}

impl<'a> Session<'a> {
    pub(crate) async fn open(server: &'a Server, key: &'a str) -> Self {
        Self::with_buffer(server, key, None).await
    }

    pub(crate) async fn with_buffer(
        server: &'a Server,
        key: &'a str,
        receive_buffer: Option<u32>,
    ) -> Self {
        let call = Call::new("GET", "/sse").key(key);
        let mut events = call.slow_stream(server.address, receive_buffer).await;
        let (name, endpoint) = events.next().await.unwrap();
        assert_eq!(name, "endpoint");
        let mut session = Self {
            server,
            key,
            events,
            endpoint,
        };
        session.send(INITIALIZE).await;
        let answer = session.events.message().await;
        assert_eq!(answer["result"]["protocolVersion"], "2024-11-05");
        session.send(INITIALIZED).await;
        session
    }

    pub(crate) async fn post(&self, body: &str) -> Answer {
        let call = Call::new("POST", &self.endpoint).key(self.key).body(body);
        call.to(self.server.address).await
    }

    pub(crate) async fn send(&self, body: &str) {
        let answer = self.post(body).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, "Accepted"));
    }
}

fn call(tool: &str) -> Value {
    json!({"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":tool,"arguments":{}}})
}

#[tokio::test]
async fn the_first_event_names_the_endpoint() {
    let server = Server::start().await;
    let mut events = Call::new("GET", "/sse").stream(server.address).await;
    let (name, data) = events.next().await.unwrap();
    assert_eq!(name, "endpoint");
    let id = data.strip_prefix("/messages/?session_id=").unwrap();
    assert_eq!(id.len(), 32);
    assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
}

#[tokio::test]
async fn tools_are_listed_and_called() {
    let server = Server::start().await;
    let mut session = Session::open(&server, "ann").await;
    session
        .send(r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#)
        .await;
    let listed = session.events.message().await;
    assert_eq!(listed["id"], "l");
    assert_eq!(listed["result"]["tools"][1]["name"], "whoami");
    session.send(&call("whoami").to_string()).await;
    let called = session.events.message().await;
    assert_eq!(called["result"]["content"][0]["text"], "ann via sse");
}

#[tokio::test]
async fn the_address_without_the_slash_serves_too() {
    let server = Server::start().await;
    let mut session = Session::open(&server, "ann").await;
    session.endpoint = session.endpoint.replace("/messages/", "/messages");
    session.send(PING).await;
    assert_eq!(session.events.message().await["id"], 1);
}

#[tokio::test]
async fn a_batch_is_taken_apart() {
    let server = Server::start().await;
    let mut session = Session::open(&server, "ann").await;
    let batch = json!([call("whoami"), {"jsonrpc":"2.0","id":8,"method":"ping"}]);
    session.send(&batch.to_string()).await;
    let mut ids = [
        session.events.message().await["id"].as_i64(),
        session.events.message().await["id"].as_i64(),
    ];
    ids.sort_unstable();
    assert_eq!(ids, [Some(7), Some(8)]);
}

#[tokio::test]
async fn posts_without_a_session_are_refused() {
    let server = Server::start().await;
    let unknown = format!("?session_id={}", "0".repeat(32));
    let gone =
        "Could not find session: it has ended or never existed; open a new one with GET /sse";
    let rows = [
        ("", 400, "session_id is required"),
        ("?session_id=", 400, "Invalid session ID"),
        ("?session_id=xyz", 400, "Invalid session ID"),
        (unknown.as_str(), 404, gone),
    ];
    for (query, status, text) in rows {
        let call = Call::new("POST", &format!("/messages/{query}")).body(PING);
        let answer = call.to(server.address).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, text),
            "{query}"
        );
    }
}

#[tokio::test]
async fn bodies_that_are_no_message_are_refused() {
    let server = Server::start().await;
    let mut session = Session::open(&server, "ann").await;
    let long_batch = format!("[{}]", vec![r#"{"id":1}"#; 65].join(","));
    for body in [
        "",
        "{",
        "[]",
        "7",
        r#"{"id":1}"#,
        r#"[{"jsonrpc":"2.0"}]"#,
        &long_batch,
    ] {
        let answer = session.post(body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            answer.body.starts_with("Could not parse message: "),
            "{}",
            answer.body
        );
    }
    session.send(PING).await;
    assert_eq!(session.events.message().await["id"], 1);
}

#[tokio::test]
async fn another_agents_session_does_not_exist() {
    let server = Server::start().await;
    let session = Session::open(&server, "ann").await;
    let call = Call::new("POST", &session.endpoint).key("bob").body(PING);
    assert_eq!(call.to(server.address).await.status, 404);
    let without_key = Call::new("POST", &session.endpoint).body(PING);
    assert_eq!(without_key.to(server.address).await.status, 404);
}

#[tokio::test]
async fn posts_to_the_stream_are_told_where_to_go() {
    let server = Server::start().await;
    let advice = "POST requests to /sse should be sent to /messages/ instead. Use GET /sse to establish SSE \
                  connection, then POST to /messages/ to send messages.";
    for (body, text) in [("", "Empty POST request"), ("{}", advice)] {
        let answer = Call::new("POST", "/sse")
            .body(body)
            .to(server.address)
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (400, text));
    }
}

#[tokio::test]
async fn a_session_ends_with_its_stream() {
    let server = Server::start().await;
    let Session {
        events, endpoint, ..
    } = Session::open(&server, "ann").await;
    drop(events);
    let ended = async {
        let post = || {
            Call::new("POST", &endpoint)
                .key("ann")
                .body(PING)
                .to(server.address)
        };
        while post().await.status != 404 {}
    };
    timeout(Duration::from_secs(10), ended).await.unwrap();
}

#[tokio::test]
async fn only_so_many_sessions_may_be_open() {
    let defaults = config();
    let limits = Limits {
        max_sessions: 1,
        ..defaults.limits
    };
    let server = Server::with(HttpConfig { limits, ..defaults }).await;
    let first = Session::open(&server, "ann").await;
    let open = || Call::new("GET", "/sse").key("bob").to(server.address);
    let refused = open().await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("http.max_sessions"), "{refused:?}");
    drop(first);
    let freed = async {
        let get = || Call::new("GET", "/sse").key("bob");
        while get().status(server.address).await == 503 {}
    };
    timeout(Duration::from_secs(10), freed).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let server = Server::start().await;
    let session = Session::with_buffer(&server, "ann", Some(4096)).await;
    let flood = call("flood").to_string();
    let cut_off = async { while session.post(&flood).await.status != 404 {} };
    timeout(Duration::from_secs(20), cut_off).await.unwrap();
}
