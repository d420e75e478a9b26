//! Just enough of HTTP/1.1 to talk to the server at little cost, so that it is the server that is measured.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Connects.
pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Status line and headers of an answer.
pub(crate) async fn response_head(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut head).await?;
        anyhow::ensure!(read > 0, "the server has closed the connection");
    }
    Ok(head)
}

/// A header of that head.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// A stream of server-sent events.
#[derive(Debug)]
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    /// What has come of events that are not complete yet.
    text: String,
}

impl Events {
    /// Sends a request, which must be answered with a stream; answers the head, too.
    pub(crate) async fn open(address: SocketAddr, request: &str) -> anyhow::Result<(Self, String)> {
        let mut stream = connect(address).await?;
        stream.get_mut().write_all(request.as_bytes()).await?;
        let head = response_head(&mut stream).await?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{request}: {head}");
        let coding = header(&head, "transfer-encoding");
        anyhow::ensure!(coding == Some("chunked"), "the stream is not chunked");
        let text = String::new();
        Ok((Self { stream, text }, head))
    }

    /// The data of the next event that has any, which comments and receipts have not.
    pub(crate) async fn next(&mut self) -> anyhow::Result<String> {
        let next = self.next_or_end().await?;
        next.context("the server has ended the stream")
    }

    /// The same; `None` at the end of the stream.
    pub(crate) async fn next_or_end(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(data) = take_event(&mut self.text) {
                return Ok(Some(data));
            }
            if !self.read_chunk().await? {
                return Ok(None);
            }
        }
    }

    async fn read_chunk(&mut self) -> anyhow::Result<bool> {
        let mut size = String::new();
        self.stream.read_line(&mut size).await?;
        let size = usize::from_str_radix(size.trim_end(), 16)
            .with_context(|| format!("a chunk begins with '{size}'"))?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await?;
        chunk.truncate(size);
        // The server never splits a character: it writes whole events.
        self.text.push_str(std::str::from_utf8(&chunk)?);
        Ok(size > 0)
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
            .filter(|data| !data.is_empty())
            .collect();
        if !data.is_empty() {
            return Some(data.join("\n"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole_and_what_has_no_data_is_passed_over() {
        let mut text =
            ": keep-alive\n\nid: 1\ndata:\n\nevent: message\ndata: {\"id\":1}\n\ndata: half"
                .to_owned();
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
