//! An MCP client over HTTP+SSE that does little else than wait, so that it is the server that is measured.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::http::{Events, connect, header, response_head};

/// One session: a connection that listens, and one that posts.
#[derive(Debug)]
pub(crate) struct Session {
    events: Events,
    post: BufReader<TcpStream>,
    /// Request line and headers of a POST, but for its length.
    head: String,
    last_id: u64,
}

impl Session {
    /// Opens and initializes a session.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let request =
            format!("GET /sse HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
        let (mut events, _) = Events::open(address, &request).await?;
        let path = events.next().await?;
        let mut session = Self {
            events,
            post: connect(address).await?,
            head: format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: "
            ),
            last_id: 0,
        };
        let hello = json!({
            "protocolVersion": "2024-11-05",
            "capabilities": {},
            "clientInfo": {"name": "smcp-bench", "version": env!("CARGO_PKG_VERSION")},
        });
        session.request("initialize", &hello).await?;
        session
            .send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        Ok(session)
    }

    /// Sends a request and waits for its result.
    pub(crate) async fn request(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await?;
        loop {
            let mut message: Value = serde_json::from_str(&self.events.next().await?)?;
            if message["id"] != id {
                continue;
            }
            anyhow::ensure!(message.get("error").is_none(), "{method}: {message}");
            return Ok(message["result"].take());
        }
    }

    /// Calls a tool, which must succeed.
    pub(crate) async fn call(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<()> {
        let params = json!({"name": tool, "arguments": arguments});
        let result = self.request("tools/call", &params).await?;
        anyhow::ensure!(result["isError"] != true, "{tool}: {result}");
        Ok(())
    }

    async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        let body = message.to_string();
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        self.post.get_mut().write_all(request.as_bytes()).await?;
        let head = response_head(&mut self.post).await?;
        let length = header(&head, "content-length").unwrap_or("0").parse()?;
        let mut body = vec![0; length];
        self.post.read_exact(&mut body).await?;
        let accepted = head.starts_with("HTTP/1.1 202");
        anyhow::ensure!(accepted, "{head}{}", String::from_utf8_lossy(&body));
        Ok(())
    }
}
