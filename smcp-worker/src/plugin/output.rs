//! What a plugin writes, read while it runs and bounded: stdout, stderr and events.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use smcp_common::secret::{RedactedStream, Redactor};

use super::handover::{Handover, Sifted};
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

/// Has what a plugin has written to its events known before what it has printed since: a secret that it hands over is
/// struck out of all that it prints afterwards.
#[derive(Debug)]
pub(super) struct Ahead {
    events: OwnedFd,
    /// How many bytes of events have been read; all of them where they have ended.
    read: AtomicU64,
    advanced: Notify,
}

impl Ahead {
    /// # Errors
    /// When the process has no descriptors left.
    pub(super) fn of(events: &OwnedFd) -> io::Result<Self> {
        Ok(Self {
            events: events.as_fd().try_clone_to_owned()?,
            read: AtomicU64::new(0),
            advanced: Notify::new(),
        })
    }

    /// Waits until the events that are in their pipe now have been read.
    async fn caught_up(&self) {
        let held = rustix::io::ioctl_fionread(&self.events).unwrap_or(0);
        let read = self.read.load(Ordering::Relaxed);
        let wanted = read.saturating_add(held);
        while self.read.load(Ordering::Relaxed) < wanted {
            // All readers are parts of one task: nothing advances between the look and the wait.
            self.advanced.notified().await;
        }
    }

    fn advance(&self, bytes: usize, at_end: bool) {
        let read = self.read.load(Ordering::Relaxed);
        let read = if at_end {
            u64::MAX
        } else {
            read + bytes as u64
        };
        self.read.store(read, Ordering::Relaxed);
        self.advanced.notify_waiters();
    }
}

/// A pipe whose content passes the redactor before anybody else.
#[derive(Debug)]
struct Redacted<'a> {
    pipe: Pipe,
    stream: RedactedStream,
    ahead: &'a Ahead,
    at_end: bool,
}

impl<'a> Redacted<'a> {
    fn new(pipe: Pipe, redactor: &Redactor, ahead: &'a Ahead) -> Self {
        Self {
            pipe,
            stream: redactor.stream(),
            ahead,
            at_end: false,
        }
    }

    /// The next bytes; `None` after the end. There may be none, where what came may be the beginning of a secret.
    async fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Option<Cow<'b, [u8]>> {
        if self.at_end {
            return None;
        }
        let chunk = self.pipe.read(buffer).await;
        self.ahead.caught_up().await;
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
    ahead: &Ahead,
    output: &mpsc::Sender<Output>,
) -> u64 {
    let mut pipe = Redacted::new(pipe, redactor, ahead);
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
    ahead: &Ahead,
    output: &mpsc::Sender<Output>,
) -> LinesRead {
    let mut pipe = Redacted::new(pipe, redactor, ahead);
    let mut passing = Passing::new(limits.max_log_lines, MAX_LOG_LINE_BYTES, output);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut tail = Vec::new();
    while let Some(chunk) = pipe.read(&mut buffer).await {
        tail.extend_from_slice(&chunk);
        // Cut rarely, as each cut moves what is kept.
        if pipe.at_end || tail.len() > limits.stderr_tail_bytes + CHUNK_BYTES {
            tail.drain(..tail.len().saturating_sub(limits.stderr_tail_bytes));
        }
        passing.pass(&chunk, pipe.at_end, log).await;
    }
    LinesRead {
        tail,
        dropped: passing.dropped(),
    }
}

/// Passes the plugin's events on; a line that is no JSON is a log line. What hands over a secret is taken out first.
pub(super) async fn read_events(
    mut pipe: Pipe,
    limits: &Limits,
    redactor: &Redactor,
    ahead: &Ahead,
    output: &mpsc::Sender<Output>,
) -> LinesRead {
    let mut handover = Handover::new(redactor);
    let mut stream = redactor.stream();
    let mut passing = Passing::new(limits.max_events, MAX_EVENT_LINE_BYTES, output);
    let mut buffer = vec![0; CHUNK_BYTES];
    // Once more, as JSON can write any character as an escape.
    let item = |line: &[u8]| match event(line) {
        Output::Event(event) => Output::Event(redactor.value(event)),
        other @ (Output::Log(_) | Output::Stdout(_) | Output::Secret(_)) => other,
    };
    loop {
        let chunk = pipe.read(&mut buffer).await;
        let (read, at_end) = (chunk.len(), chunk.is_empty());
        let Sifted { others, secrets } = if at_end {
            handover.finish()
        } else {
            handover.push(chunk)
        };
        ahead.advance(read, at_end);
        for secret in secrets {
            send(output, Output::Secret(secret)).await;
        }
        let mut text = stream.push(&others).into_owned();
        if at_end {
            text.extend(stream.finish());
        }
        passing.pass(&text, at_end, item).await;
        if at_end {
            return LinesRead {
                tail: Vec::new(),
                dropped: passing.dropped(),
            };
        }
    }
}

/// Lines on their way to whoever follows the run, as many as the limit admits.
struct Passing<'a> {
    lines: Lines,
    count: u64,
    most: u64,
    output: &'a mpsc::Sender<Output>,
}

impl<'a> Passing<'a> {
    fn new(most: u64, line_bytes: usize, output: &'a mpsc::Sender<Output>) -> Self {
        Self {
            lines: Lines::new(line_bytes),
            count: 0,
            most,
            output,
        }
    }

    async fn pass(&mut self, chunk: &[u8], at_end: bool, item: impl Fn(&[u8]) -> Output) {
        let mut ended = self.lines.push(chunk);
        if at_end {
            ended.extend(self.lines.finish());
        }
        for line in ended {
            self.count += 1;
            if self.count <= self.most {
                send(self.output, item(&line)).await;
            }
        }
    }

    fn dropped(&self) -> u64 {
        self.count.saturating_sub(self.most)
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
