//! MCP by hand: requests that no client would send, over both HTTP transports.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::world::World;

/// An HTTP answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON, or the last message of an event stream.
    pub(crate) fn json(&self) -> Value {
        let events = self.body.lines().filter_map(data).next_back();
        let text = events.unwrap_or(&self.body);
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A request that has yet to be sent.
pub(crate) fn request(method: Method, url: &str) -> RequestBuilder {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.request(method, url)
}

/// Sends a request and reads the answer.
pub(crate) async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    }
}

/// The transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Sse,
    StreamableHttp,
}

/// Both of them.
pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::Sse, Transport::StreamableHttp];

/// An initialized session.
#[derive(Debug)]
pub(crate) struct Session {
    endpoint: String,
    key: Option<String>,
    way_back: WayBack,
    requests: u64,
}

/// Where the answers come.
#[derive(Debug)]
enum WayBack {
    /// On the stream that was opened first.
    Stream(Events),
    /// As the answer of the POST itself.
    Post { session: String },
}

impl Session {
    /// Opens a session of the caller without a key.
    pub(crate) async fn open(world: &World, transport: Transport) -> Self {
        Self::open_as(world, transport, None).await
    }

    /// Opens a session of whoever has this key.
    pub(crate) async fn open_as(world: &World, transport: Transport, key: Option<&str>) -> Self {
        let key = key.map(ToOwned::to_owned);
        let params = json!({
            "protocolVersion": if transport == Transport::Sse { "2024-11-05" } else { "2025-06-18" },
            "capabilities": {},
            "clientInfo": {"name": "by hand", "version": "1"},
        });
        let mut session = match transport {
            Transport::Sse => {
                let mut opened = request(Method::GET, &format!("{}/sse", world.url()));
                if let Some(key) = &key {
                    opened = opened.bearer_auth(key);
                }
                let mut events = Events::of(opened.send().await.unwrap());
                Self {
                    endpoint: format!("{}{}", world.url(), events.next().await),
                    key,
                    way_back: WayBack::Stream(events),
                    requests: 0,
                }
            }
            Transport::StreamableHttp => Self {
                endpoint: format!("{}/mcp", world.url()),
                key,
                way_back: WayBack::Post {
                    session: String::new(),
                },
                requests: 0,
            },
        };
        let reply = session.ask("initialize", params).await;
        assert_eq!(reply["result"]["serverInfo"]["name"], "sanctum-letta-mcp");
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(session.post(initialized.to_string()).await.status, 202);
        session
    }

    /// Its id, over Streamable HTTP.
    pub(crate) fn id(&self) -> &str {
        match &self.way_back {
            WayBack::Post { session } => session,
            WayBack::Stream(_) => panic!("the id is in the address to post to"),
        }
    }

    /// A POST to this session, to be completed.
    pub(crate) fn request(&self) -> RequestBuilder {
        self.post_to(&self.endpoint)
    }

    /// The same by another way to `/mcp`.
    pub(crate) fn request_to(&self, url: &str) -> RequestBuilder {
        self.post_to(&format!("{url}/mcp"))
    }

    fn post_to(&self, address: &str) -> RequestBuilder {
        let mut request = request(Method::POST, address)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        match &self.way_back {
            WayBack::Post { session } if !session.is_empty() => {
                request.header("mcp-session-id", session)
            }
            WayBack::Post { .. } | WayBack::Stream(_) => request,
        }
    }

    /// Sends a body, whatever it is.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> Reply {
        send(self.request().body(body)).await
    }

    /// Sends a request of JSON-RPC, and reads its answer.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let body =
            json!({"jsonrpc": "2.0", "id": self.requests, "method": method, "params": params});
        let reply = self.post(body.to_string()).await;
        match &mut self.way_back {
            WayBack::Stream(events) => {
                assert_eq!(reply.status, 202, "{reply:?}");
                serde_json::from_str(&events.next().await).unwrap()
            }
            WayBack::Post { session } => {
                if let Some(given) = reply.header("mcp-session-id") {
                    given.clone_into(session);
                }
                reply.json()
            }
        }
    }

    /// What the server says next of itself; only where there is a stream for it.
    pub(crate) async fn heard(&mut self) -> Value {
        let WayBack::Stream(events) = &mut self.way_back else {
            panic!("this session has no stream of its own")
        };
        serde_json::from_str(&events.next().await).unwrap()
    }

    /// Calls a tool, and reads the result.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let mut answer = self
            .ask("tools/call", json!({"name": tool, "arguments": arguments}))
            .await;
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].take()
    }
}

/// A request of revision 2026-07-28, which has no sessions; `name` is what its `params` are about.
pub(crate) fn modern(
    world: &World,
    method: &str,
    name: Option<&str>,
    mut params: Value,
    capabilities: &Value,
) -> RequestBuilder {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
    let body = json!({"jsonrpc": "2.0", "id": 77, "method": method, "params": params});
    let request = request(Method::POST, &format!("{}/mcp", world.url()))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method)
        .body(body.to_string());
    match name {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Events {
    response: Response,
    unread: String,
}

impl Events {
    /// The stream that answers a request.
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self {
            response,
            unread: String::new(),
        }
    }

    /// The data of the next event.
    pub(crate) async fn next(&mut self) -> String {
        self.next_or_end().await.expect("the stream goes on")
    }

    /// The same; `None` at the end of the stream.
    pub(crate) async fn next_or_end(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.find("\n\n") {
                let event: String = self.unread.drain(..end + 2).collect();
                if let Some(data) = event.lines().find_map(data) {
                    return Some(data.to_owned());
                }
            } else {
                let chunk = self.response.chunk().await.unwrap()?;
                self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        }
    }
}

/// What a line of an event stream carries.
fn data(line: &str) -> Option<&str> {
    line.strip_prefix("data:")
        .map(str::trim)
        .filter(|data| !data.is_empty())
}
