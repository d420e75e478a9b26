//! Just enough of an HTTP client to send what no library would, and to see exactly what comes back.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// A request; HTTP/1.0, so that bodies of answers come unframed and end with the connection.
pub(crate) struct Call {
    head: String,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            head: format!("{method} {path} HTTP/1.0\r\n"),
            body: Vec::new(),
        }
        .header("host", "localhost")
    }

    /// A request line and nothing else.
    pub(crate) fn bare(line: &str) -> Self {
        Self {
            head: format!("{line}\r\n"),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.extend([name, ": ", value, "\r\n"]);
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("content-length", &length)
    }

    /// A POST to `/mcp` as MCP demands it.
    pub(crate) fn mcp(body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", "/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    }

    async fn send(self, address: SocketAddr, receive_buffer: Option<u32>) -> BufReader<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let mut stream = socket.connect(address).await.unwrap();
        let mut request = self.head.into_bytes();
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&self.body);
        stream.write_all(&request).await.unwrap();
        BufReader::new(stream)
    }

    /// Sends the request and reads the whole answer.
    pub(crate) async fn to(self, address: SocketAddr) -> Answer {
        let mut stream = self.send(address, None).await;
        let head = read_head(&mut stream).await;
        let mut body = String::new();
        stream.read_to_string(&mut body).await.unwrap();
        Answer {
            status: status(&head),
            head,
            body,
        }
    }

    /// Sends the request and reads the status of the answer alone.
    pub(crate) async fn status(self, address: SocketAddr) -> u16 {
        let mut stream = self.send(address, None).await;
        status(&read_head(&mut stream).await)
    }

    /// Sends the request and reads events until the stream ends.
    pub(crate) async fn stream(self, address: SocketAddr) -> Events {
        self.slow_stream(address, None).await
    }

    /// Like [`Call::stream`], with a receive buffer of so many bytes.
    pub(crate) async fn slow_stream(
        self,
        address: SocketAddr,
        receive_buffer: Option<u32>,
    ) -> Events {
        let mut stream = self.send(address, receive_buffer).await;
        let head = read_head(&mut stream).await;
        assert_eq!(status(&head), 200, "{head}");
        Events {
            stream,
            last_event_id: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// An open event stream.
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    /// The id of the last event that has come whole and had one.
    pub(crate) last_event_id: Option<String>,
}

impl Events {
    /// The name and data of the next event that has data; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<(String, String)> {
        loop {
            let event = self.event().await?;
            if !event.1.is_empty() {
                return Some(event);
            }
        }
    }

    /// The name and data of the next event, which may be a mere receipt.
    pub(crate) async fn event(&mut self) -> Option<(String, String)> {
        let (mut name, mut data, mut id) = (String::new(), String::new(), None);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            if let Some(value) = line.strip_prefix("event: ") {
                value.clone_into(&mut name);
            } else if let Some(value) = line.strip_prefix("data: ") {
                data.push_str(value);
            } else if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if line.is_empty() {
                self.last_event_id = id.or(self.last_event_id.take());
                return Some((name, data));
            }
        }
    }

    /// Everything up to the end of the stream, as it comes.
    pub(crate) async fn rest(mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).await.unwrap();
        rest
    }

    /// The next event, which must be a message.
    pub(crate) async fn message(&mut self) -> Value {
        let (name, data) = self.next().await.unwrap();
        assert_eq!(name, "message");
        serde_json::from_str(&data).unwrap()
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(
            stream.read_line(&mut head).await.unwrap(),
            0,
            "no answer: {head}"
        );
    }
    head
}

fn status(head: &str) -> u16 {
    let code = head.split(' ').nth(1).unwrap();
    code.parse().unwrap()
}
