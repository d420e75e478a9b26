//! Sessions of the Streamable HTTP transport that outlive connections and processes.
//!
//! A session is a row in the queue; what a process holds of it in memory can be made again from there, when a client
//! shows its id to a process that does not know it. The streams of calls are derived from the events of their jobs.

mod built_in;
mod calls;
mod cursor;
mod events;
mod gate;
mod open;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::Stream;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, GetExtensions as _, JsonRpcMessage,
    ServerJsonRpcMessage, ServerResult,
};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::{
    RestoreOutcome, ServerSseMessage, SessionId, SessionRestoreMarker,
};
use smcp_common::queue::{QueueError, Session};
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::calls::too_many_streams;
pub(super) use self::gate::admit;
pub(super) use self::store::Store;

use self::calls::Calls;
use self::cursor::{Cursor, InvalidCursor};
use self::open::{Link, OpenSession};
use crate::app::App;
use crate::caller::Caller;
use crate::http_config::Limits;
use crate::refusal::Refusal;

/// A session that nobody has used for so long is forgotten: its client gets 404, and opens another.
const KEPT: Duration = Duration::from_hours(24);
/// A session that nobody has used for so long leaves the memory of this process.
const IN_MEMORY: Duration = Duration::from_mins(10);
/// How often that is looked after.
const SWEEP_EVERY: Duration = Duration::from_mins(2);

/// Every session, as rmcp asks for them.
#[derive(Debug)]
pub(super) struct Sessions {
    app: Arc<App>,
    calls: Calls,
    limits: Limits,
    open: Open,
    _sweep: AbortOnDropHandle<()>,
}

type Open = Arc<Mutex<HashMap<SessionId, Arc<OpenSession>>>>;

/// A session that cannot do what is asked of it.
#[derive(Debug, thiserror::Error)]
pub(in crate::mcp) enum SessionError {
    /// It has ended.
    #[error("the session has ended")]
    Ended,
    /// There are too many.
    #[error("{0} sessions are open and in use, which is the limit (http.max_sessions)")]
    TooMany(u32),
    /// Its streams have no such event.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// It has as many streams as it may.
    #[error("the session has {0} streams open, which is the limit (http.max_streams_per_session)")]
    TooManyStreams(u32),
    /// The database cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A call cannot be taken back.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What the client said when it opened the session cannot be kept.
    #[error("the parameters of initialize cannot be kept")]
    Parameters(#[from] serde_json::Error),
}

impl Sessions {
    /// No session is held yet.
    pub(super) fn new(app: Arc<App>, limits: Limits) -> Self {
        let open = Open::default();
        let sweep = tokio::spawn(sweep(Arc::clone(&app), Arc::clone(&open)));
        Self {
            calls: Calls {
                app: Arc::clone(&app),
            },
            app,
            limits,
            open,
            _sweep: AbortOnDropHandle::new(sweep),
        }
    }

    fn find(&self, id: &SessionId) -> Result<Arc<OpenSession>, SessionError> {
        let found = lock(&self.open).get(id).cloned();
        let session = found.ok_or(SessionError::Ended)?;
        session.used(self.app.queue.clock().now());
        Ok(session)
    }

    fn hold(&self, id: &SessionId) -> (Arc<OpenSession>, Link) {
        let now = self.app.queue.clock().now();
        let (session, link) = OpenSession::new(Arc::clone(id), now);
        lock(&self.open).insert(Arc::clone(id), Arc::clone(&session));
        (session, link)
    }
}

impl SessionManager for Sessions {
    type Error = SessionError;
    type Transport = Link;

    async fn create_session(&self) -> Result<(SessionId, Link), SessionError> {
        // 128 bits from the system's secure generator: to know the id is to have been told it.
        let id = SessionId::from(format!("{:032x}", rand::random::<u128>()));
        let (_, link) = self.hold(&id);
        Ok((id, link))
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Link>, SessionError> {
        if lock(&self.open).contains_key(&id) {
            return Ok(RestoreOutcome::AlreadyPresent);
        }
        let (session, link) = self.hold(&id);
        // Nobody knows what has changed while nobody held it.
        session.list_changed.notify_one();
        Ok(RestoreOutcome::Restored(link))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionError> {
        let session = self.find(id)?;
        let JsonRpcMessage::Request(request) = &message else {
            return Err(SessionError::Ended);
        };
        let ClientRequest::InitializeRequest(initialize) = &request.request else {
            return Err(SessionError::Ended);
        };
        let extensions = request.request.extensions();
        let agent = match Caller::of(extensions) {
            Ok(caller) => caller.agent.clone(),
            Err(_) => return Err(SessionError::Ended),
        };
        let is_new = extensions.get::<SessionRestoreMarker>().is_none();
        let parameters = serde_json::to_string(&initialize.params)?;
        let request_id = request.id.clone();
        let answer = session.ask(request_id, message).await;
        let answer = answer.ok_or(SessionError::Ended)?;
        if let JsonRpcMessage::Response(response) = &answer
            && let ServerResult::InitializeResult(result) = &response.result
        {
            session.initialized(agent.clone(), result.protocol_version.clone());
            if is_new {
                let row = Session { agent, parameters };
                let limit = self.limits.max_sessions;
                if !self.app.queue.open_session(id, row, limit).await? {
                    session.ended.cancel();
                    return Err(SessionError::TooMany(limit));
                }
            }
        }
        Ok(answer)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(lock(&self.open).contains_key(id))
    }

    /// Called when a client ends its session, and when the protocol of a session ends in this process.
    async fn close_session(&self, id: &SessionId) -> Result<(), SessionError> {
        if let Some(session) = lock(&self.open).remove(id) {
            session.ended.cancel();
        }
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        let session = self.find(id)?;
        let JsonRpcMessage::Request(request) = message else {
            return Err(SessionError::Ended);
        };
        let limit = self.limits.max_streams_per_session;
        let Some(slot) = session.open_stream(limit) else {
            let failure = events::failure(request.id, too_many_streams(limit));
            return Ok(events::single(failure));
        };
        let id = request.id.clone();
        if let ClientRequest::CallToolRequest(call) = &request.request
            && self.calls.knows(&call.params.name)
        {
            let call = call.clone();
            return Ok(self.calls.answer(&session, slot, id, call).await);
        }
        let request = JsonRpcMessage::Request(request);
        let (app, asked) = (Arc::clone(&self.app), Arc::clone(&session));
        let answer = async move { asked.ask(id, request).await };
        Ok(events::eventually(app, session, slot, answer))
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), SessionError> {
        let session = self.find(id)?;
        if let JsonRpcMessage::Notification(notification) = &message
            && let ClientNotification::CancelledNotification(cancelled) = &notification.notification
            && let Some(request) = &cancelled.params.request_id
        {
            let reason = cancelled.params.reason.as_deref();
            if self.calls.take_back(&session, request, reason).await? {
                return Ok(());
            }
        }
        if session.push(message).await {
            Ok(())
        } else {
            Err(SessionError::Ended)
        }
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        let session = self.find(id)?;
        let limit = self.limits.max_streams_per_session;
        let slot = session
            .open_stream(limit)
            .ok_or(SessionError::TooManyStreams(limit))?;
        Ok(events::of_session(
            Arc::clone(&self.app),
            session,
            slot,
            None,
        ))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        let session = self.find(id)?;
        let cursor: Cursor = last_event_id.parse()?;
        let limit = self.limits.max_streams_per_session;
        let slot = session
            .open_stream(limit)
            .ok_or(SessionError::TooManyStreams(limit))?;
        Ok(self.calls.resume(&session, slot, cursor).await)
    }
}

/// Lets go of what nobody uses, and notes in the queue what is in use.
async fn sweep(app: Arc<App>, open: Open) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        every.tick().await;
        let now = app.queue.clock().now();
        let mut in_use = Vec::new();
        lock(&open).retain(|id, session| {
            let idle = now.since(session.last_used(now));
            if idle < SWEEP_EVERY {
                in_use.push(id.to_string());
            }
            let stays = idle < IN_MEMORY;
            if !stays {
                session.ended.cancel();
            }
            stays
        });
        let swept = async {
            if !in_use.is_empty() {
                app.queue.see_sessions(in_use).await?;
            }
            while app.queue.forget_sessions(KEPT).await? > 0 {}
            Ok::<_, QueueError>(())
        };
        if let Err(error) = swept.await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "sessions could not be looked after");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
