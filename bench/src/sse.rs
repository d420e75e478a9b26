//! An MCP client over HTTP+SSE that does little else than wait, so that it is the server that is measured.

use std::net::SocketAddr;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

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
        let mut events = Events::open(address).await?;
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

/// The event stream of a session.
#[derive(Debug)]
struct Events {
    stream: BufReader<TcpStream>,
    /// What has come of events that are not complete yet.
    text: String,
}

impl Events {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = connect(address).await?;
        let request =
            format!("GET /sse HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).await?;
        let head = response_head(&mut stream).await?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "GET /sse: {head}");
        let coding = header(&head, "transfer-encoding");
        anyhow::ensure!(coding == Some("chunked"), "the stream is not chunked");
        let text = String::new();
        Ok(Self { stream, text })
    }

    /// The data of the next event that has any; comments that keep the stream alive have none.
    async fn next(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(data) = take_event(&mut self.text) {
                return Ok(data);
            }
            self.read_chunk().await?;
        }
    }

    async fn read_chunk(&mut self) -> anyhow::Result<()> {
        let mut size = String::new();
        self.stream.read_line(&mut size).await?;
        let size = usize::from_str_radix(size.trim_end(), 16)
            .with_context(|| format!("a chunk begins with '{size}'"))?;
        anyhow::ensure!(size > 0, "the server has ended the stream");
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await?;
        chunk.truncate(size);
        // The server never splits a character: it writes whole events.
        self.text.push_str(std::str::from_utf8(&chunk)?);
        Ok(())
    }
}

/// Removes the first complete events from `text` up to one with data, and answers that.
fn take_event(text: &mut String) -> Option<String> {
    while let Some(end) = text.find("\n\n") {
        let rest = text.split_off(end + 2);
        let event = std::mem::replace(text, rest);
        let data: Vec<_> = event
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(str::trim_start)
            .collect();
        if !data.is_empty() {
            return Some(data.join("\n"));
        }
    }
    None
}

async fn connect(address: SocketAddr) -> anyhow::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Status line and headers.
async fn response_head(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut head).await?;
        anyhow::ensure!(read > 0, "the server has closed the connection");
    }
    Ok(head)
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole_and_comments_passed_over() {
        let mut text = ": keep-alive\n\nevent: message\ndata: {\"id\":1}\n\ndata: half".to_owned();
        assert_eq!(take_event(&mut text).as_deref(), Some("{\"id\":1}"));
        assert_eq!(take_event(&mut text), None);
        text.push_str(" an event\n\n");
        assert_eq!(take_event(&mut text).as_deref(), Some("half an event"));
        assert_eq!(text, "");
    }

    #[test]
    fn header_names_have_no_case() {
        let head = "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\n";
        assert_eq!(header(head, "content-length"), Some("8"));
        assert_eq!(header(head, "date"), None);
    }
}
