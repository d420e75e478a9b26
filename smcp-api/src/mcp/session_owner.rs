//! Keeps each Streamable HTTP session to the agent that opened it.
//!
//! rmcp serves whoever knows a session id. The session manager here notes the agent of each `initialize`, and a
//! layer in front compares it with the caller of every later request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use futures::Stream;
use rmcp::model::{ClientJsonRpcMessage, GetExtensions as _, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};

use crate::caller::Caller;

/// The agent of each open session.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners(Arc<Mutex<HashMap<SessionId, String>>>);

impl Owners {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a request for another agent's session as if the session did not exist.
pub(super) async fn require_owner(
    State(owners): State<Owners>,
    request: Request,
    next: Next,
) -> Response {
    let agent = request
        .extensions()
        .get::<Caller>()
        .map(|caller| &caller.agent);
    let foreign = request
        .headers()
        .get("mcp-session-id")
        .and_then(|id| owners.lock().get(id.to_str().ok()?).cloned())
        .is_some_and(|owner| Some(&owner) != agent);
    if foreign {
        let mut response = Response::new(Body::from("Not Found: Session not found"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    next.run(request).await
}

/// rmcp's sessions in memory, with a note of who opened each.
#[derive(Debug)]
pub(super) struct OwnedSessions {
    local: LocalSessionManager,
    owners: Owners,
}

impl OwnedSessions {
    pub(super) fn new(local: LocalSessionManager) -> Self {
        Self {
            local,
            owners: Owners::default(),
        }
    }

    pub(super) fn owners(&self) -> Owners {
        self.owners.clone()
    }
}

impl SessionManager for OwnedSessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        self.local.create_session().await
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        let agent = opener(&message).ok_or_else(|| Self::Error::SessionNotFound(Arc::clone(id)))?;
        self.owners.lock().insert(Arc::clone(id), agent);
        self.local.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        self.local.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.owners.lock().remove(id);
        self.local.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.local.create_stream(id, message).await
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        self.local.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.local.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.local.resume(id, last_event_id).await
    }
}

fn opener(message: &ClientJsonRpcMessage) -> Option<String> {
    let ClientJsonRpcMessage::Request(message) = message else {
        return None;
    };
    let caller = Caller::of(message.request.extensions()).ok()?;
    Some(caller.agent.clone())
}
