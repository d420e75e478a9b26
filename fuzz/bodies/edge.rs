//! The HTTP edge with all that is behind it but a worker, and requests made of arbitrary bytes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use futures::StreamExt as _;
use futures::stream::Fuse;
use serde_json::json;
use smcp_api::app::App;
use smcp_api::auth::{ApiKey, AuthConfig};
use smcp_api::health::Readiness;
use smcp_api::http_config::{HttpConfig, Limits};
use smcp_api::mcp::handler::Handler;
use smcp_api::router::router;
use smcp_api::serve::Peer;
use smcp_common::config::{Config, Environment, Flags};
use smcp_common::plugin::Manifest;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

/// The longest body, so that inputs need not be long to be too long.
const MAX_BODY_BYTES: usize = 2_000;
/// How long to listen to a stream, and how much.
const LISTEN: Duration = Duration::from_millis(5);
const CHUNKS: usize = 16;

/// A header. What is repeated is sent repeatedly.
#[derive(Debug, Arbitrary)]
pub(crate) struct Header<'a> {
    name: Word<'a>,
    value: Value<'a>,
}

#[derive(Debug, Arbitrary)]
enum Word<'a> {
    Known(u8),
    Other(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
enum Value<'a> {
    Known(u8),
    /// The session that is open.
    Session,
    /// The newest event that was seen.
    Event,
    Other(&'a [u8]),
}

const NAMES: [&str; 16] = [
    "mcp-session-id",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "last-event-id",
    "accept",
    "content-type",
    "content-length",
    "idempotency-key",
    "authorization",
    "x-api-key",
    "host",
    "origin",
    "expect",
    "mcp-param-a",
    "content-encoding",
];

const VALUES: [&str; 20] = [
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
    "application/json, text/event-stream",
    "text/event-stream",
    "application/json",
    "initialize",
    "tools/list",
    "tools/call",
    "server/discover",
    "subscriptions/listen",
    "whoami",
    "=?base64?d2hvYW1p?=",
    "Bearer ann",
    "bob",
    "0",
    "http://localhost",
    "100-continue",
];

/// The headers of a well-behaved client.
pub(crate) const USUAL: [(&str, &str); 3] = [
    ("host", "localhost"),
    ("accept", "application/json, text/event-stream"),
    ("content-type", "application/json"),
];

/// What opens a session of the revision number `version`.
pub(crate) fn initialize(version: u8) -> Vec<u8> {
    let message = Message {
        id: Id::Number(0),
        method: Method::Known(0),
        params: Params::Initialize(version),
    };
    message.text().into_bytes()
}

/// What a request carries.
#[derive(Debug, Arbitrary)]
pub(crate) enum Payload<'a> {
    Message(Message<'a>),
    Batch(Vec<Message<'a>>),
    Raw(&'a [u8]),
    Long(u16),
}

impl Payload<'_> {
    /// The headers that a client of 2026-07-28 sends with it.
    pub(crate) fn headers(&self) -> Vec<(&'static str, &'static str)> {
        let Self::Message(Message {
            method: Method::Known(method),
            params: Params::Modern(tool, version),
            ..
        }) = self
        else {
            return Vec::new();
        };
        vec![
            ("mcp-protocol-version", pick(&VALUES, *version)),
            ("mcp-method", pick(&METHODS, *method)),
            ("mcp-name", pick(&TOOLS, *tool)),
        ]
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Message(message) => message.text().into_bytes(),
            Self::Batch(messages) => {
                let messages: Vec<_> = messages.iter().map(Message::text).collect();
                format!("[{}]", messages.join(",")).into_bytes()
            }
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Long(length) => vec![b'['; usize::from(*length)],
        }
    }
}

/// Something like a JSON-RPC message.
#[derive(Debug, Arbitrary)]
pub(crate) struct Message<'a> {
    id: Id<'a>,
    method: Method<'a>,
    params: Params<'a>,
}

#[derive(Debug, Arbitrary)]
enum Id<'a> {
    Absent,
    Number(i64),
    Text(&'a str),
    Raw(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Method<'a> {
    Known(u8),
    Other(&'a str),
    Result(&'a str),
    Error(i32),
}

#[derive(Debug, Arbitrary)]
enum Params<'a> {
    Absent,
    Initialize(u8),
    Call(u8, &'a str),
    /// As a client of 2026-07-28 sends them.
    Modern(u8, u8),
    Cancel(Id<'a>),
    Raw(&'a str),
}

const METHODS: [&str; 16] = [
    "initialize",
    "notifications/initialized",
    "tools/list",
    "tools/call",
    "ping",
    "notifications/cancelled",
    "server/discover",
    "subscriptions/listen",
    "prompts/list",
    "resources/list",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/cancel",
    "notifications/progress",
    "notifications/roots/list_changed",
];
const TOOLS: [&str; 6] = [
    "fuzz__wait",
    "jobs__submit",
    "unknown",
    "jobs__wait",
    "sanctum__tools",
    "jobs__output",
];

impl Message<'_> {
    fn text(&self) -> String {
        let id = match self.id.text() {
            Some(id) => format!(r#""id":{id},"#),
            None => String::new(),
        };
        let what = match self.method {
            Method::Known(n) => format!(r#""method":"{}""#, pick(&METHODS, n)),
            Method::Other(name) => format!(r#""method":{name:?}"#),
            Method::Result(text) => format!(r#""result":{text}"#),
            Method::Error(code) => format!(r#""error":{{"code":{code},"message":"m"}}"#),
        };
        format!(r#"{{"jsonrpc":"2.0",{id}{what}{}}}"#, self.params.text())
    }
}

impl Id<'_> {
    fn text(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(format!("{text:?}")),
            Self::Raw(text) => Some((*text).to_owned()),
        }
    }
}

impl Params<'_> {
    fn text(&self) -> String {
        let params = match self {
            Self::Absent => return String::new(),
            Self::Initialize(version) => format!(
                r#"{{"protocolVersion":"{}","capabilities":{{}},"clientInfo":{{"name":"f","version":"0"}}}}"#,
                pick(&VALUES, *version)
            ),
            Self::Call(tool, arguments) => {
                let arguments = if arguments.is_empty() {
                    "{}"
                } else {
                    *arguments
                };
                format!(
                    r#"{{"name":"{}","arguments":{arguments}}}"#,
                    pick(&TOOLS, *tool)
                )
            }
            Self::Modern(tool, version) => format!(
                r#"{{"name":"{}","_meta":{{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"f","version":"0"}}}}}}"#,
                pick(&TOOLS, *tool),
                pick(&VALUES, *version)
            ),
            Self::Cancel(id) => format!(r#"{{"requestId":{}}}"#, id.text().unwrap_or_default()),
            Self::Raw(text) => (*text).to_owned(),
        };
        format!(r#","params":{params}"#)
    }
}

fn pick(words: &[&'static str], n: u8) -> &'static str {
    words[usize::from(n) % words.len()]
}

/// A client and its server, without a network between them.
pub(crate) struct Edge {
    router: Router,
    /// The id of the session that is open, and of the newest event that was seen.
    pub(crate) session: String,
    pub(crate) event: String,
}

/// What all inputs share: a queue with a tool in it that nobody runs.
struct Shared {
    runtime: Runtime,
    app: Arc<App>,
    _directory: TempDir,
}

thread_local! {
    static SHARED: Shared = Shared::new();
}

impl Shared {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let flags = Flags {
            data_dir: Some(directory.path().to_owned()),
            ..Flags::default()
        };
        let settings = Config::load(None, &Environment::default(), &flags).unwrap();
        let app = runtime.block_on(async {
            let app = smcp_api::open(&settings, false, CancellationToken::new()).unwrap();
            let describe = json!({"commands": [{"name": "wait", "parameters": [{"name": "n", "type": "integer"}]}]});
            let (tools, _) = Manifest::parse(&describe).unwrap().into_tools("fuzz");
            let plugin = json!({
                "name": "fuzz", "directory": "/", "entry": "cli.py", "digest": "0", "interpreter": "/",
                "description": null, "tools": tools, "problems": [],
            });
            let plugins = vec![serde_json::from_value(plugin).unwrap()];
            app.queue.want_scan("fuzz").await.unwrap();
            let wanted = app.queue.take_scan("fuzz").await.unwrap().unwrap();
            let done = app.queue.finish_scan("fuzz", wanted, plugins, Vec::new());
            done.await.unwrap();
            app
        });
        Self {
            runtime,
            app,
            _directory: directory,
        }
    }
}

impl Edge {
    fn new(app: &Arc<App>) -> Self {
        let config = HttpConfig {
            auth: AuthConfig {
                keys: ["ann", "bob"].map(|name| ApiKey::new(name, name)).into(),
                ..AuthConfig::default()
            },
            limits: Limits {
                max_body_bytes: MAX_BODY_BYTES,
                max_sessions: u32::MAX,
                ..Limits::default()
            },
            ..HttpConfig::default()
        };
        let readiness = Readiness::new(|| std::future::ready(Vec::new()));
        let handler = {
            let app = Arc::clone(app);
            move || Handler::new(Arc::clone(&app))
        };
        Self {
            router: router(&config, app, handler, readiness).unwrap(),
            session: "0".repeat(32),
            event: "0".to_owned(),
        }
    }

    /// Sends a request with these headers and, as far as they are not among them, the usual ones. `None` where HTTP
    /// cannot carry it.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        uri: &str,
        (headers, usual): (&[Header<'_>], &[(&str, &str)]),
        body: Vec<u8>,
    ) -> Option<Response<Body>> {
        let mut request = Request::builder().method(method).uri(uri);
        for header in headers {
            let name = match header.name {
                Word::Known(n) => pick(&NAMES, n).as_bytes(),
                Word::Other(name) => name,
            };
            let value = match header.value {
                Value::Known(n) => pick(&VALUES, n).as_bytes(),
                Value::Session => self.session.as_bytes(),
                Value::Event => self.event.as_bytes(),
                Value::Other(value) => value,
            };
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(body)).ok()?;
        for (name, value) in usual {
            let headers = request.headers_mut();
            if !headers.contains_key(*name) {
                headers.insert(
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).ok()?,
                );
            }
        }
        request
            .extensions_mut()
            .insert(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let response = self.router.call(request).await.unwrap();
        assert_ne!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        Some(response)
    }

    /// Reads what there is on a stream, and notes the session's address and the events that it names.
    pub(crate) async fn listen(&mut self, stream: &mut Fuse<BodyDataStream>) {
        for _ in 0..CHUNKS {
            let Ok(Some(Ok(chunk))) = tokio::time::timeout(LISTEN, stream.next()).await else {
                return;
            };
            for line in String::from_utf8_lossy(&chunk).lines() {
                if let Some((_, session)) = line.split_once("?session_id=") {
                    session.clone_into(&mut self.session);
                }
                if let Some(event) = line.strip_prefix("id:") {
                    event.trim().clone_into(&mut self.event);
                }
            }
        }
    }
}

/// Runs one input to its end.
pub(crate) fn play(input: impl AsyncFnOnce(&mut Edge)) {
    SHARED.with(|shared| {
        shared.runtime.block_on(async {
            let mut edge = Edge::new(&shared.app);
            input(&mut edge).await;
        });
    });
}
