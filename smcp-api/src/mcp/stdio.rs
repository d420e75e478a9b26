//! MCP over standard input and output: one message a line, one client, who is the agent [`LOCAL`].
//!
//! A line that holds no message is answered with an error, and the next one is read. When the input ends, or the process
//! is told to stop, what has been asked is still answered; then the session ends.

mod lines;
mod local;

use std::sync::Arc;

use futures::{Stream, stream};
use rmcp::ServiceExt as _;
use rmcp::model::{ClientRequest, GetExtensions as _, JsonRpcError, JsonRpcMessage};
use rmcp::service::ServerInitializeError;
use serde_json::json;
use smcp_common::lifecycle::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::{CancellationToken, PollSender};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::lines::{Line, Lines};
use self::local::Local;
use super::handler::Handler;
use super::message::{self, Incoming, Outgoing};
use crate::app::App;
use crate::auth::LOCAL;
use crate::caller::{Caller, Transport};

/// Room for messages in each direction.
const CAPACITY: usize = 64;

type Inbox = Arc<Mutex<mpsc::Receiver<Incoming>>>;

/// What a session goes by.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Longer lines are refused.
    pub max_line_bytes: usize,
    /// Tools are told, and called, once a later scan of the plugins than this one is done, or is not done in time.
    pub after_scan: Option<i64>,
}

/// Serves one client until `input` ends, `output` is closed or `shutdown` begins, and begins `shutdown` then. Answers
/// that are due are waited for until it says to stop; the jobs behind them go on in any case.
pub async fn serve<R, W>(app: Arc<App>, terms: Terms, input: R, output: W, shutdown: Shutdown)
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (inbox, received) = mpsc::channel(CAPACITY);
    let (outbox, outgoing) = mpsc::channel(CAPACITY);
    let gone = CancellationToken::new();
    let reader = Reader {
        lines: Lines::new(input, terms.max_line_bytes),
        inbox,
        outbox: outbox.clone(),
        asked: TaskTracker::new(),
    };
    let _reading = AbortOnDropHandle::new(tokio::spawn(reader.run(shutdown.clone(), gone.clone())));
    let writing = AbortOnDropHandle::new(tokio::spawn(write(outgoing, output, gone.clone())));
    converse(
        &app,
        terms.after_scan,
        Arc::new(Mutex::new(received)),
        outbox,
        &gone,
    )
    .await;
    // Whatever ended the session, the process is to go as well.
    shutdown.begin();
    // It only fails by a panic, which has been told.
    drop(writing.await);
}

/// Runs the protocol, again and again where a client begins in a way that rmcp ends a session for.
async fn converse(
    app: &Arc<App>,
    after_scan: Option<i64>,
    inbox: Inbox,
    outbox: mpsc::Sender<Outgoing>,
    gone: &CancellationToken,
) {
    loop {
        let handler = Local::new(Handler::new(Arc::clone(app)), Arc::clone(app), after_scan);
        let transport = (
            PollSender::new(outbox.clone()),
            messages(Arc::clone(&inbox)),
        );
        match handler.serve_with_ct(transport, gone.child_token()).await {
            Ok(running) => {
                match running.waiting().await {
                    Ok(reason) => tracing::info!(?reason, "session ended"),
                    Err(error) => tracing::error!(%error, "session crashed"),
                }
                return;
            }
            Err(
                error @ (ServerInitializeError::ExpectedInitializeRequest(_)
                | ServerInitializeError::UnexpectedInitializeResponse(_)
                | ServerInitializeError::InitializeFailed(_)),
            ) => tracing::debug!(%error, "the session has not begun yet"),
            Err(error) => {
                tracing::info!(%error, "session ended before it was initialized");
                return;
            }
        }
    }
}

fn messages(inbox: Inbox) -> impl Stream<Item = Incoming> + Send + Unpin {
    Box::pin(stream::unfold(inbox, async |inbox| {
        let message = inbox.lock().await.recv().await?;
        Some((message, inbox))
    }))
}

/// Takes lines apart into messages.
struct Reader<R> {
    lines: Lines<R>,
    inbox: mpsc::Sender<Incoming>,
    outbox: mpsc::Sender<Outgoing>,
    /// The requests that have not been answered.
    asked: TaskTracker,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    async fn run(mut self, shutdown: Shutdown, gone: CancellationToken) {
        tokio::select! {
            () = self.read() => {}
            () = shutdown.drain.cancelled() => {}
            () = gone.cancelled() => {}
        }
        shutdown.begin();
        self.asked.close();
        // For rmcp the input ends when the inbox is dropped, and from then on it waits for answers for 5 s only.
        tokio::select! {
            () = self.asked.wait() => {}
            () = gone.cancelled() => {}
            () = shutdown.stop.cancelled() => {}
        }
    }

    async fn read(&mut self) {
        loop {
            match self.lines.next().await {
                Ok(Line::Text(line)) => {
                    for message in message::parse_line(&line) {
                        if self.take(message).await.is_none() {
                            return;
                        }
                    }
                }
                Ok(Line::TooLong) => {
                    let limit = self.lines.limit();
                    let refused = message::unreadable(format!(
                        "the line is longer than the limit of {limit} bytes (max_body_bytes)"
                    ));
                    if self.take(Err(Box::new(refused))).await.is_none() {
                        return;
                    }
                }
                Ok(Line::End) => return,
                Err(error) => {
                    return tracing::warn!(%error, "standard input cannot be read any more");
                }
            }
        }
    }

    /// Hands a message on, or the answer to what is none. `None` where nobody is there any more.
    async fn take(&mut self, message: Result<Incoming, Box<JsonRpcError>>) -> Option<()> {
        // A client that does not read its answers may not ask for more of them.
        let room = self.outbox.reserve().await.ok()?;
        match message {
            Ok(message) => {
                drop(room);
                self.inbox.send(self.signed(message)).await.ok()
            }
            Err(refused) => {
                room.send(JsonRpcMessage::Error(*refused));
                Some(())
            }
        }
    }

    /// Notes on a message who sends it, and keeps track of it if it is to be answered.
    fn signed(&self, mut message: Incoming) -> Incoming {
        let caller = Caller {
            agent: LOCAL.to_owned(),
            transport: Transport::Stdio,
            address: None,
        };
        match &mut message {
            JsonRpcMessage::Request(message) => {
                // A subscription is answered when it ends, and it ends with the session.
                let lasts = matches!(
                    message.request,
                    ClientRequest::SubscriptionsListenRequest(_)
                );
                let extensions = message.request.extensions_mut();
                extensions.insert(caller);
                if !lasts {
                    // Dropped with the request, when its answer is on its way.
                    extensions.insert(self.asked.token());
                }
            }
            JsonRpcMessage::Notification(message) => {
                message.notification.extensions_mut().insert(caller);
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
        message
    }
}

/// Writes a message a line until there are no more; `gone` is cancelled where nobody takes them.
async fn write<W>(mut outgoing: mpsc::Receiver<Outgoing>, mut output: W, gone: CancellationToken)
where
    W: AsyncWrite + Unpin,
{
    while let Some(message) = outgoing.recv().await {
        let written = async {
            output.write_all(&line(&message)?).await?;
            if outgoing.is_empty() {
                output.flush().await?;
            }
            std::io::Result::Ok(())
        };
        if let Err(error) = written.await {
            tracing::info!(%error, "standard output cannot be written any more");
            return gone.cancel();
        }
    }
}

fn line(message: &Outgoing) -> serde_json::Result<Vec<u8>> {
    let mut line = match message {
        // rmcp leaves the id out; JSON-RPC wants a null.
        JsonRpcMessage::Error(refused) if refused.id.is_none() => {
            json!({"jsonrpc": "2.0", "id": null, "error": refused.error})
                .to_string()
                .into_bytes()
        }
        JsonRpcMessage::Request(_)
        | JsonRpcMessage::Response(_)
        | JsonRpcMessage::Notification(_)
        | JsonRpcMessage::Error(_) => serde_json::to_vec(message)?,
    };
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use rmcp::model::{EmptyResult, ErrorData, RequestId, ServerResult};

    use super::*;

    #[test]
    fn a_message_is_a_line_and_an_error_has_an_id_or_null() {
        let error = |id| JsonRpcMessage::error(ErrorData::parse_error("a\nb", None), id);
        let done = ServerResult::EmptyResult(EmptyResult {});
        let rows = [
            (
                error(None),
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"a\nb"}}"#,
            ),
            (
                error(Some(RequestId::Number(1))),
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"a\nb"}}"#,
            ),
            (
                JsonRpcMessage::response(done, RequestId::Number(2)),
                r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
            ),
        ];
        for (message, expected) in rows {
            let line = String::from_utf8(line(&message).unwrap()).unwrap();
            assert_eq!(line, format!("{expected}\n"));
        }
    }
}
