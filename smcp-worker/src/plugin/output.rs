//! What a plugin writes, read while it runs and bounded: stdout, stderr and events.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use smcp_common::secret::{RedactedStream, Redactor};

use super::lines::Lines;
use super::process::{Limits, Output};

/// What one read takes: the usual capacity of a pipe.
const CHUNK_BYTES: usize = 64 * 1024;
const MAX_LOG_LINE_BYTES: usize = 8 * 1024;
const MAX_EVENT_LINE_BYTES: usize = 64 * 1024;

/// The read end of one of the plugin's pipes.
#[derive(Debug)]
pub(super) struct Pipe {
    receiver: Receiver,
    over: CancellationToken,
    remaining: Option<usize>,
}

impl Pipe {
    /// Once `over` is cancelled only what the pipe holds then is read, so that a
    /// descriptor kept open outside the plugin's tree cannot delay the end.
    ///
    /// # Errors
    /// When the descriptor cannot be watched.
    pub(super) fn new(fd: OwnedFd, over: CancellationToken) -> io::Result<Self> {
        Ok(Self {
            receiver: Receiver::from_owned_fd(fd)?,
            over,
            remaining: None,
        })
    }

    /// The next bytes; empty at the end.
    async fn read<'a>(&mut self, buffer: &'a mut [u8]) -> &'a [u8] {
        if self.remaining.is_none() {
            tokio::select! {
                read = self.receiver.read(buffer) => return &buffer[..read.unwrap_or(0)],
                () = self.over.cancelled() => {}
            }
        }
        let remaining = self.remaining.unwrap_or_else(|| {
            let held = rustix::io::ioctl_fionread(&self.receiver).unwrap_or(0);
            usize::try_from(held).unwrap_or(usize::MAX)
        });
        // Not through the reactor: it may not have heard yet of what is in the pipe.
        let wanted = remaining.min(buffer.len());
        let read = rustix::io::read(&self.receiver, &mut buffer[..wanted]).unwrap_or(0);
        self.remaining = Some(if read == 0 { 0 } else { remaining - read });
        &buffer[..read]
    }
}

/// A pipe whose content passes the redactor before anybody else.
#[derive(Debug)]
struct Redacted {
    pipe: Pipe,
    stream: RedactedStream,
    at_end: bool,
}

impl Redacted {
    fn new(pipe: Pipe, redactor: &Redactor) -> Self {
        Self {
            pipe,
            stream: redactor.stream(),
            at_end: false,
        }
    }

    /// The next bytes; `None` after the end. There may be none, where what came may be the beginning of a secret.
    async fn read<'a>(&mut self, buffer: &'a mut [u8]) -> Option<Cow<'a, [u8]>> {
        if self.at_end {
            return None;
        }
        let chunk = self.pipe.read(buffer).await;
        if chunk.is_empty() {
            self.at_end = true;
            return Some(Cow::Owned(self.stream.finish()));
        }
        Some(self.stream.push(chunk))
    }
}

/// Passes stdout on up to `limits.stdout_max_bytes`; answers how much there was in all.
pub(super) async fn read_stdout(
    pipe: Pipe,
    limits: &Limits,
    redactor: &Redactor,
    output: &mpsc::Sender<Output>,
) -> u64 {
    let mut pipe = Redacted::new(pipe, redactor);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut total = 0_u64;
    loop {
        let Some(chunk) = pipe.read(&mut buffer).await else {
            return total;
        };
        let room = usize::try_from(limits.stdout_max_bytes.saturating_sub(total));
        let kept = &chunk[..chunk.len().min(room.unwrap_or(usize::MAX))];
        total += chunk.len() as u64;
        if !kept.is_empty() {
            send(output, Output::Stdout(kept.to_vec())).await;
        }
    }
}

/// What became of a stream of lines.
#[derive(Debug)]
pub(super) struct LinesRead {
    /// The last bytes of the stream.
    pub(super) tail: Vec<u8>,
    /// Lines beyond the limit, which were not passed on.
    pub(super) dropped: u64,
}

/// Passes stderr on as log lines.
pub(super) async fn read_stderr(
    pipe: Pipe,
    limits: &Limits,
    redactor: &Redactor,
    output: &mpsc::Sender<Output>,
) -> LinesRead {
    let mut lines = LineReader {
        pipe: Redacted::new(pipe, redactor),
        lines: Lines::new(MAX_LOG_LINE_BYTES),
        item: log,
    };
    lines
        .read(limits.max_log_lines, limits.stderr_tail_bytes, output)
        .await
}

/// Passes the plugin's events on; a line that is no JSON is a log line.
pub(super) async fn read_events(
    pipe: Pipe,
    limits: &Limits,
    redactor: &Redactor,
    output: &mpsc::Sender<Output>,
) -> LinesRead {
    let mut lines = LineReader {
        pipe: Redacted::new(pipe, redactor),
        lines: Lines::new(MAX_EVENT_LINE_BYTES),
        // Once more, as JSON can write any character as an escape.
        item: |line: &[u8]| match event(line) {
            Output::Event(event) => Output::Event(redactor.value(event)),
            other @ (Output::Log(_) | Output::Stdout(_)) => other,
        },
    };
    lines.read(limits.max_events, 0, output).await
}

struct LineReader<I> {
    pipe: Redacted,
    lines: Lines,
    item: I,
}

impl<I: Fn(&[u8]) -> Output> LineReader<I> {
    async fn read(
        &mut self,
        max_lines: u64,
        tail_bytes: usize,
        output: &mpsc::Sender<Output>,
    ) -> LinesRead {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut tail = Vec::new();
        let mut count = 0_u64;
        loop {
            let chunk = self.pipe.read(&mut buffer).await.unwrap_or_default();
            let at_end = self.pipe.at_end;
            tail.extend_from_slice(&chunk);
            // Cut rarely, as each cut moves what is kept.
            if at_end || tail.len() > tail_bytes + CHUNK_BYTES {
                tail.drain(..tail.len().saturating_sub(tail_bytes));
            }
            let mut ended = self.lines.push(&chunk);
            if at_end {
                ended.extend(self.lines.finish());
            }
            for line in ended {
                count += 1;
                if count <= max_lines {
                    send(output, (self.item)(&line)).await;
                }
            }
            if at_end {
                return LinesRead {
                    tail,
                    dropped: count.saturating_sub(max_lines),
                };
            }
        }
    }
}

fn event(line: &[u8]) -> Output {
    serde_json::from_slice(line).map_or_else(|_| log(line), Output::Event)
}

fn log(line: &[u8]) -> Output {
    let line = &line[..line.len().min(MAX_LOG_LINE_BYTES)];
    Output::Log(String::from_utf8_lossy(line).into_owned())
}

/// Passes `item` on, waiting for room. When nobody listens any more, the plugin is
/// drained all the same: it must not hang in a full pipe.
async fn send(output: &mpsc::Sender<Output>, item: Output) {
    output.send(item).await.ok();
}
