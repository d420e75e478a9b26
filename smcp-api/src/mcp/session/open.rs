//! A session that this process holds in memory. All that must outlive the process is in the queue.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{JsonRpcMessage, ProtocolVersion, RequestId, ServerNotification};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use smcp_common::clock::Timestamp;
use smcp_common::queue::SessionCall;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A message from the client.
pub(super) type Incoming = RxJsonRpcMessage<RoleServer>;
/// A message to the client.
pub(super) type Outgoing = TxJsonRpcMessage<RoleServer>;

/// Requests that wait for the protocol to take them.
const INBOX: usize = 16;

/// A session: what its requests, its streams and the protocol share.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) id: Arc<str>,
    /// Whose it is, once it has been initialized.
    agent: OnceLock<String>,
    /// What has been negotiated.
    version: OnceLock<ProtocolVersion>,
    inbox: mpsc::Sender<Incoming>,
    /// Requests that the protocol is to answer, and where their answers go.
    asked: Mutex<HashMap<RequestId, oneshot::Sender<Outgoing>>>,
    /// Calls with an open stream, each with the token that ends it without an answer.
    calls: Mutex<HashMap<RequestId, CancellationToken>>,
    /// Calls whose answers are being kept; cancelled when they are.
    keeping: Mutex<HashMap<RequestId, CancellationToken>>,
    /// Told when the list of tools has changed; whichever stream hears it first tells the client.
    pub(super) list_changed: Notify,
    streams: AtomicU32,
    used_at: AtomicI64,
    /// Cancelled when the session is over, or leaves this process's memory.
    pub(super) ended: CancellationToken,
}

impl OpenSession {
    /// A session, and the protocol's end of it.
    pub(super) fn new(id: Arc<str>, now: Timestamp) -> (Arc<Self>, Link) {
        let (inbox, received) = mpsc::channel(INBOX);
        let session = Arc::new(Self {
            id,
            agent: OnceLock::new(),
            version: OnceLock::new(),
            inbox,
            asked: Mutex::default(),
            calls: Mutex::default(),
            keeping: Mutex::default(),
            list_changed: Notify::new(),
            streams: AtomicU32::new(0),
            used_at: AtomicI64::new(now.as_millis()),
            ended: CancellationToken::new(),
        });
        let link = Link {
            session: Arc::clone(&session),
            received,
        };
        (session, link)
    }

    /// Notes whose session it is, and which revision it speaks.
    pub(super) fn initialized(&self, agent: String, version: ProtocolVersion) {
        let _same_as_before = self.agent.set(agent);
        let _same_as_before = self.version.set(version);
    }

    /// Whose it is; nobody's before it has been initialized.
    pub(super) fn agent(&self) -> &str {
        self.agent.get().map_or("", String::as_str)
    }

    /// The revision that it speaks.
    pub(super) fn version(&self) -> Option<&ProtocolVersion> {
        self.version.get()
    }

    /// A request of this session, as the queue knows it.
    pub(super) fn call(&self, request: &RequestId) -> SessionCall {
        SessionCall {
            session: self.id.to_string(),
            // A number or a string: it does not fail.
            request: serde_json::to_string(request).unwrap_or_default(),
        }
    }

    /// Hands a message to the protocol; false when it has ended.
    pub(super) async fn push(&self, message: Incoming) -> bool {
        self.inbox.send(message).await.is_ok()
    }

    /// Hands a request to the protocol, and waits for its answer; `None` when the protocol ends without one.
    pub(super) async fn ask(&self, id: RequestId, request: Incoming) -> Option<Outgoing> {
        let (sender, answer) = oneshot::channel();
        lock(&self.asked).insert(id, sender);
        if !self.push(request).await {
            return None;
        }
        tokio::select! {
            answer = answer => answer.ok(),
            () = self.ended.cancelled() => None,
        }
    }

    /// Notes an open call; its token is cancelled when the client takes the call back.
    pub(super) fn begin_call(&self, request: &RequestId) -> CancellationToken {
        let taken_back = CancellationToken::new();
        lock(&self.calls).insert(request.clone(), taken_back.clone());
        taken_back
    }

    /// The token of a call that has an open stream.
    pub(super) fn open_call(&self, request: &RequestId) -> Option<CancellationToken> {
        lock(&self.calls).get(request).cloned()
    }

    /// Notes a call whose answer is about to be kept; dropping the guard says that it is.
    pub(super) fn begin_keeping(self: &Arc<Self>, request: &RequestId) -> Keeping {
        let kept = CancellationToken::new();
        lock(&self.keeping).insert(request.clone(), kept.clone());
        Keeping {
            session: Arc::clone(self),
            request: request.clone(),
            kept,
        }
    }

    /// Returns when the answer to a call is not about to be kept any more.
    pub(super) async fn kept(&self, request: &RequestId) {
        let kept = lock(&self.keeping).get(request).cloned();
        if let Some(kept) = kept {
            kept.cancelled().await;
        }
    }

    /// Counts one more open stream, unless there are `limit`.
    pub(super) fn open_stream(self: &Arc<Self>, limit: u32) -> Option<Slot> {
        let more = |open: u32| (open < limit).then_some(open + 1);
        self.streams
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Slot {
            session: Arc::clone(self),
            call: None,
        })
    }

    /// Notes that the session is in use.
    pub(super) fn used(&self, now: Timestamp) {
        self.used_at.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    /// When it was last used; now, while it has an open stream.
    pub(super) fn last_used(&self, now: Timestamp) -> Timestamp {
        if self.streams.load(Ordering::Relaxed) > 0 {
            return now;
        }
        Timestamp::from_millis(self.used_at.load(Ordering::Relaxed))
    }

    fn deliver(&self, message: Outgoing) {
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            JsonRpcMessage::Notification(notification) => {
                if matches!(
                    notification.notification,
                    ServerNotification::ToolListChangedNotification(_)
                ) {
                    self.list_changed.notify_one();
                }
                None
            }
            JsonRpcMessage::Request(_) => None,
        };
        if let Some(waiting) = answered.and_then(|id| lock(&self.asked).remove(id)) {
            // Where the client has gone meanwhile, it will ask again.
            let _unread = waiting.send(message);
        }
    }
}

/// An open stream of a session, which ends with this.
#[derive(Debug)]
pub(super) struct Slot {
    session: Arc<OpenSession>,
    call: Option<RequestId>,
}

impl Slot {
    /// The stream answers this call.
    pub(super) fn of_call(mut self, request: RequestId) -> Self {
        self.call = Some(request);
        self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(request) = &self.call {
            lock(&self.session.calls).remove(request);
        }
        self.session.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call whose answer is about to be kept.
#[derive(Debug)]
pub(super) struct Keeping {
    session: Arc<OpenSession>,
    request: RequestId,
    kept: CancellationToken,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        lock(&self.session.keeping).remove(&self.request);
        self.kept.cancel();
    }
}

/// The protocol's end of a session.
#[derive(Debug)]
pub(in crate::mcp) struct Link {
    session: Arc<OpenSession>,
    received: mpsc::Receiver<Incoming>,
}

impl Transport<RoleServer> for Link {
    type Error = Infallible;

    fn send(
        &mut self,
        message: Outgoing,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        self.session.deliver(message);
        std::future::ready(Ok(()))
    }

    async fn receive(&mut self) -> Option<Incoming> {
        tokio::select! {
            message = self.received.recv() => message,
            () = self.session.ended.cancelled() => None,
        }
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        self.received.close();
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
