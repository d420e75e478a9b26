//! What a running plugin says, stored as it comes, and the reasons to stop it, watched for meanwhile.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use smcp_common::job::{Advice, Failure, News, Outcome, code};
use smcp_common::lifecycle::Shutdown;
use smcp_common::plugin::Tool;
use smcp_common::queue::{Hold, Queue, QueueError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::plugin::process::{Handed, Output, StopReason, Unfit};
use crate::work::persist;

/// Standard output is stored when so much has come, …
const CHUNK_BYTES: usize = 64 * 1024;
/// … or when so much time has passed: a short call needs no commit but its finish.
const CHUNK_DELAY: Duration = Duration::from_millis(250);
/// As much of the beginning of standard output is kept to word an error.
const HEAD_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Stream<'a> {
    queue: &'a Queue,
    hold: &'a Hold,
    tool: &'a Tool,
    stopper: &'a mpsc::Sender<StopReason>,
    head: Vec<u8>,
    pending: Vec<u8>,
    flush_at: Option<Instant>,
    lost: bool,
    /// Why a secret that it has handed over is not stored.
    unstored: Option<String>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(
        queue: &'a Queue,
        hold: &'a Hold,
        tool: &'a Tool,
        stopper: &'a mpsc::Sender<StopReason>,
    ) -> Self {
        Self {
            queue,
            hold,
            tool,
            stopper,
            head: Vec::new(),
            pending: Vec::new(),
            flush_at: None,
            lost: false,
            unstored: None,
        }
    }

    /// Runs `process` to its end and stores its output; asks for its stop when somebody wants that.
    pub(super) async fn follow<T>(
        &mut self,
        process: impl Future<Output = T>,
        output: &mut mpsc::Receiver<Output>,
        shutdown: &Shutdown,
    ) -> T {
        let mut process = pin!(process);
        let mut news = self.queue.news();
        let mut stop_at_once = pin!(shutdown.stop.cancelled());
        let mut stopping = false;
        self.heed_cancel();
        let ended = loop {
            tokio::select! {
                biased;
                Some(said) = output.recv() => self.take(said, output).await,
                ended = &mut process => break ended,
                () = due(self.flush_at) => self.flush(Vec::new()).await,
                Ok(()) = news.changed() => self.heed_cancel(),
                () = &mut stop_at_once, if !stopping => {
                    stopping = true;
                    self.ask(StopReason::ShuttingDown);
                }
            }
        };
        // The process has ended and dropped its sender; what it said last may still be in the channel.
        while let Some(said) = output.recv().await {
            self.take(said, output).await;
        }
        ended
    }

    /// The beginning of standard output.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// What the attempt comes to: without a secret that was to be stored, no answer is accepted, and none is tried for again.
    pub(super) fn settled(&self, outcome: Outcome) -> Outcome {
        match (&self.unstored, outcome) {
            (Some(why), Outcome::Succeeded | Outcome::Failed { .. } | Outcome::Snoozed { .. }) => {
                let message = format!(
                    "The call has run, but a secret that it has handed over is not stored: {why}."
                );
                Outcome::Failed {
                    failure: Failure::new(code::SECRET_NOT_STORED, message),
                    advice: Advice {
                        retryable: Some(false),
                        after_ms: None,
                    },
                }
            }
            (_, outcome) => outcome,
        }
    }

    /// Standard output that has not been stored yet.
    pub(super) fn rest(self) -> Vec<u8> {
        self.pending
    }

    async fn take(&mut self, said: Output, output: &mut mpsc::Receiver<Output>) {
        let mut news = Vec::new();
        let mut next = Some(said);
        // Whatever else has come by now shares the commit.
        while let Some(said) = next {
            match said {
                Output::Stdout(bytes) => self.keep(&bytes),
                Output::Log(line) => news.push(News::Log(line)),
                Output::Event(event) => news.extend(progress(&event).map(News::Progress)),
                Output::Secret(handed) => self.keep_secret(handed).await,
            }
            next = if self.pending.len() < CHUNK_BYTES {
                output.try_recv().ok()
            } else {
                None
            };
        }
        if !news.is_empty() || self.pending.len() >= CHUNK_BYTES {
            self.flush(news).await;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.pending.extend_from_slice(bytes);
        self.flush_at
            .get_or_insert_with(|| Instant::now() + CHUNK_DELAY);
    }

    /// Stores a secret at once: what is done with it next may need it.
    async fn keep_secret(&mut self, handed: Result<Handed, Unfit>) {
        if let Err(why) = self.stored(handed).await {
            tracing::warn!(reason = why, "a secret of a plugin is not stored");
            self.unstored.get_or_insert(why);
        }
    }

    async fn stored(&self, handed: Result<Handed, Unfit>) -> Result<(), String> {
        let Handed { name, value } = handed.map_err(|why| why.to_string())?;
        let tool = self.tool;
        if !tool.may_store(&name) {
            return Err(format!(
                "the command {} of plugin {} does not declare {name} in its 'stores'",
                tool.command, tool.plugin
            ));
        }
        let kept = persist("store of a secret", || {
            self.queue.keep_secret(self.hold, &name, value.clone())
        });
        match kept.await {
            Ok(_is_new) => Ok(()),
            Err(QueueError::LeaseLost { .. }) => {
                self.ask(StopReason::LeaseLost);
                Err(format!("{name} came when the job was another worker's"))
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a secret cannot be stored"
                );
                Err(format!(
                    "{name} cannot be stored; the worker's log says why"
                ))
            }
        }
    }

    async fn flush(&mut self, mut news: Vec<News>) {
        let output_is_due = self.pending.len() >= CHUNK_BYTES
            || self.flush_at.is_some_and(|at| at <= Instant::now());
        if output_is_due && !self.pending.is_empty() {
            news.push(News::Output(std::mem::take(&mut self.pending)));
            self.flush_at = None;
        }
        if news.is_empty() || self.lost {
            return;
        }
        match persist("store of a job's news", || {
            self.queue.append(self.hold, news.clone())
        })
        .await
        {
            Ok(()) => {}
            Err(QueueError::LeaseLost { .. }) => {
                self.lost = true;
                self.ask(StopReason::LeaseLost);
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "what a plugin said cannot be stored"
                );
            }
        }
    }

    fn heed_cancel(&self) {
        match self.queue.is_cancelling(self.hold) {
            Ok(true) => self.ask(StopReason::Cancelled),
            Ok(false) => {}
            // The lease keeper asks again.
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "cannot look for a cancel request"
            ),
        }
    }

    fn ask(&self, reason: StopReason) {
        if self.stopper.try_send(reason).is_err() {
            tracing::debug!("the process has been asked to stop already");
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The progress in a line of the events descriptor; other events mean nothing yet to anybody.
fn progress(event: &Value) -> Option<Value> {
    let number = |key: &str| event.get(key).filter(|value| value.is_number());
    let (progress, total) = (number("progress"), number("total"));
    let message = event.get("message").and_then(Value::as_str);
    if progress.is_none() && message.is_none() {
        return None;
    }
    let mut data = json!({});
    let entries = [
        ("progress", progress.cloned()),
        ("total", total.cloned()),
        ("message", message.map(Value::from)),
    ];
    for (key, value) in entries {
        if let Some(value) = value {
            data[key] = value;
        }
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_progress_is_kept_of_an_event() {
        let rows = [
            (
                json!({"progress": 1, "total": 2.5, "message": "m", "x": 1}),
                Some(json!({"progress": 1, "total": 2.5, "message": "m"})),
            ),
            (
                json!({"message": "m", "total": "two"}),
                Some(json!({"message": "m"})),
            ),
            (json!({"progress": "1"}), None),
            (json!({"total": 2}), None),
            (json!([1]), None),
        ];
        for (event, expected) in rows {
            assert_eq!(progress(&event), expected, "{event}");
        }
    }
}
