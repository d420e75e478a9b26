//! One of many sessions: it makes one call, and notes all that it hears of it.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::http::{Events, connect, header, response_head};

use super::hands::{STEPS, said};

/// What is called.
pub(super) const TOOL: &str = "crowd__work";
const CALL: i64 = 7;
const PING: i64 = 8;

/// The transport of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// HTTP+SSE of 2024-11-05
    Sse,
    /// Streamable HTTP
    Http,
}

/// An initialized session.
#[derive(Debug)]
pub(super) struct Member {
    address: SocketAddr,
    number: usize,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Where to post, and the stream that all answers come on.
    Sse(String, Events),
    /// The session's id; each POST has a stream of its own.
    Http(String),
}

/// What has been heard of a call.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) number: usize,
    /// When the answer came.
    pub(super) answered: Option<Instant>,
    /// Steps and answers that should have come and have not.
    pub(super) missed: usize,
    /// Those that came twice, in the wrong order, or to the wrong one.
    pub(super) surplus: usize,
}

impl Member {
    pub(super) async fn open(
        address: SocketAddr,
        transport: Transport,
        number: usize,
    ) -> anyhow::Result<Self> {
        let version = match transport {
            Transport::Sse => "2024-11-05",
            Transport::Http => "2025-06-18",
        };
        let hello = request(
            1,
            "initialize",
            &json!({
                "protocolVersion": version,
                "capabilities": {},
                "clientInfo": {"name": "smcp-bench", "version": env!("CARGO_PKG_VERSION")},
            }),
        );
        let way = match transport {
            Transport::Sse => {
                let get = format!("GET /sse HTTP/1.1\r\nHost: {address}\r\n\r\n");
                let (mut events, _) = Events::open(address, &get).await?;
                let path = events.next().await?;
                post(address, &path, "", &hello).await?;
                events.next().await?;
                Way::Sse(path, events)
            }
            Transport::Http => {
                let (mut events, head) =
                    Events::open(address, &post_text(address, "/mcp", "", &hello)).await?;
                events.next().await?;
                let id = header(&head, "mcp-session-id").context("there is no session")?;
                Way::Http(id.to_owned())
            }
        };
        let mut member = Self {
            address,
            number,
            way,
        };
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        member.notify(&initialized).await?;
        Ok(member)
    }

    /// Calls the tool, and listens until nothing more can come.
    pub(super) async fn call(mut self) -> anyhow::Result<(Self, Heard)> {
        let number = self.number;
        let params = json!({"name": TOOL, "arguments": {"number": number},
                            "_meta": {"progressToken": number}});
        let body = request(CALL, "tools/call", &params);
        let mut heard = Heard {
            number,
            ..Heard::default()
        };
        let mut steps = 0;
        let session = self.session();
        match &mut self.way {
            Way::Sse(path, events) => {
                post(self.address, path, "", &body).await?;
                while heard.answered.is_none() {
                    heard.note(&events.next().await?, &mut steps)?;
                }
                // What comes before the answer to this is all that there was.
                post(self.address, path, "", &request(PING, "ping", &json!({}))).await?;
                loop {
                    let data = events.next().await?;
                    if serde_json::from_str::<Value>(&data)?["id"] == PING {
                        break;
                    }
                    heard.note(&data, &mut steps)?;
                }
            }
            Way::Http(_) => {
                let text = post_text(self.address, "/mcp", &session, &body);
                let (mut events, _) = Events::open(self.address, &text).await?;
                while let Some(data) = events.next_or_end().await? {
                    heard.note(&data, &mut steps)?;
                }
            }
        }
        heard.missed += STEPS - steps + usize::from(heard.answered.is_none());
        Ok((self, heard))
    }

    async fn notify(&mut self, message: &Value) -> anyhow::Result<()> {
        let session = self.session();
        let path = match &self.way {
            Way::Sse(path, _) => path,
            Way::Http(_) => "/mcp",
        };
        post(self.address, path, &session, message).await
    }

    fn session(&self) -> String {
        match &self.way {
            Way::Sse(..) => String::new(),
            Way::Http(id) => format!("Mcp-Session-Id: {id}\r\n"),
        }
    }
}

impl Heard {
    /// Notes a message, of which the step after `steps`, or after the last one the answer, is the right one.
    fn note(&mut self, data: &str, steps: &mut usize) -> anyhow::Result<()> {
        let now = Instant::now();
        let message: Value = serde_json::from_str(data)?;
        if message["method"] == "notifications/progress" {
            let params = &message["params"];
            let text = params["message"].as_str().unwrap_or_default();
            if params["progressToken"] == self.number && text == said(self.number, *steps + 1) {
                *steps += 1;
            } else if !text.ends_with("goes on.") {
                self.surplus += 1;
            }
        } else if message["id"] == CALL {
            let result = &message["result"];
            let text = result["content"][0]["text"].as_str().unwrap_or_default();
            anyhow::ensure!(result["isError"] != true, "{message}");
            if self.answered.is_some() || text != said(self.number, STEPS) {
                self.surplus += 1;
            }
            self.answered.get_or_insert(now);
        } else {
            anyhow::bail!("nobody has asked for {message}");
        }
        Ok(())
    }
}

fn request(id: i64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Posts a message that is answered 202. The connection is closed after it, so that what is counted are streams.
async fn post(
    address: SocketAddr,
    path: &str,
    headers: &str,
    message: &Value,
) -> anyhow::Result<()> {
    let mut stream = connect(address).await?;
    let headers = format!("{headers}Connection: close\r\n");
    let text = post_text(address, path, &headers, message);
    stream.get_mut().write_all(text.as_bytes()).await?;
    let head = response_head(&mut stream).await?;
    let mut body = String::new();
    stream.read_to_string(&mut body).await?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 202"), "{head}{body}");
    Ok(())
}

fn post_text(address: SocketAddr, path: &str, headers: &str, message: &Value) -> String {
    let body = message.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}
