//! The Streamable HTTP transport.

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;

use crate::http::{Answer, Call, Events};
use crate::server::Server;
use crate::worker::TOOL;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"0"}}}"#;
pub(crate) const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Whose sessions they are.
const AGENT: &str = "ann";

/// An initialized session of `ann`.
pub(crate) struct Session<'a> {
    server: &'a Server,
    id: String,
}

impl<'a> Session<'a> {
    pub(crate) async fn open(server: &'a Server) -> Self {
        let opened = Call::mcp(INITIALIZE).key(AGENT).to(server.address).await;
        let id = opened.header("mcp-session-id").unwrap().to_owned();
        let session = Self { server, id };
        assert_eq!(session.post(INITIALIZED).await.status, 202);
        session
    }

    pub(crate) async fn post(&self, body: &str) -> Answer {
        self.own(Call::mcp(body)).to(self.server.address).await
    }

    /// Calls the worker's tool, with a receive buffer of so many bytes.
    pub(crate) async fn call(&self, key: &str, receive_buffer: Option<u32>) -> Events {
        let call = self.own(Call::mcp(call_of(key)));
        call.slow_stream(self.server.address, receive_buffer).await
    }

    /// The stream of the session itself.
    pub(crate) async fn listen(&self) -> Events {
        self.get().stream(self.server.address).await
    }

    /// The rest of a stream.
    pub(crate) async fn come_back(&self, last_event_id: &str) -> Events {
        let get = self.get().header("last-event-id", last_event_id);
        get.stream(self.server.address).await
    }

    fn get(&self) -> Call {
        self.own(Call::new("GET", "/mcp").header("accept", "text/event-stream"))
    }

    fn own(&self, call: Call) -> Call {
        call.key(AGENT).header("mcp-session-id", &self.id)
    }
}

/// A call number 7 of the worker's tool, with a progress token. Calls with the same key are one job.
pub(crate) fn call_of(key: &str) -> String {
    let meta = json!({"progressToken": "p", "smcp/idempotency-key": key});
    let params = json!({"name": TOOL, "arguments": {}, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string()
}

#[tokio::test]
async fn tools_are_listed_and_called() {
    let server = Server::start().await;
    let config =
        StreamableHttpClientTransportConfig::with_uri(format!("http://{}/mcp", server.address));
    let transport = StreamableHttpClientTransport::from_config(config.auth_header("ann"));
    let client = ().serve(transport).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 2);
    let result = client
        .call_tool(CallToolRequestParams::new("whoami"))
        .await
        .unwrap();
    let text = result.content[0].as_text().unwrap();
    assert_eq!(text.text, "ann via streamable_http");
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn another_agents_session_does_not_exist() {
    let server = Server::start().await;
    let opened = Call::mcp(INITIALIZE).key("ann").to(server.address).await;
    assert_eq!(opened.status, 200);
    let id = opened.header("mcp-session-id").unwrap();
    let as_agent = |call: Call, key: &str| call.key(key).header("mcp-session-id", id);

    let unknown = Call::mcp(LIST)
        .key("bob")
        .header("mcp-session-id", "none")
        .to(server.address)
        .await;
    assert_eq!(unknown.status, 404);
    let get = || Call::new("GET", "/mcp").header("accept", "text/event-stream");
    for call in [Call::mcp(LIST), get(), Call::new("DELETE", "/mcp")] {
        let foreign = as_agent(call, "bob").to(server.address).await;
        assert_eq!((foreign.status, foreign.body), (404, unknown.body.clone()));
    }
    let started = as_agent(Call::mcp(INITIALIZED), "ann")
        .to(server.address)
        .await;
    assert_eq!(started.status, 202);
    let own = as_agent(Call::mcp(LIST), "ann").to(server.address).await;
    assert!(own.body.contains("whoami"), "{own:?}");
    let ended = as_agent(Call::new("DELETE", "/mcp"), "ann")
        .to(server.address)
        .await;
    assert_eq!(ended.status, 204);
    assert_eq!(
        as_agent(Call::mcp(LIST), "ann")
            .to(server.address)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn bodies_that_are_no_message_get_a_json_rpc_error() {
    let server = Server::start().await;
    let rows = [
        ("", -32700),
        ("{", -32700),
        ("[]", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("7", -32600),
        (r#"{"id":1}"#, -32600),
    ];
    for (body, code) in rows {
        let answer = Call::mcp(body).to(server.address).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["error"]["code"], code, "{body}");
    }
}
