//! The gate before all routes that need to know who is calling: a request gets its [`Caller`], or 401.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use smcp_common::job::Entrance;

use crate::app::App;
use crate::auth::{AuthConfig, Identity, Unauthorized, Unidentified, authenticate};
use crate::caller::{Caller, Transport};
use crate::problem::Problem;
use crate::serve::Peer;
use crate::stored_keys::StoredKeys;

/// What [`identify`] needs: who may call, and by which way its routes are reached.
#[derive(Debug, Clone)]
pub struct Gate {
    app: Arc<App>,
    config: Arc<AuthConfig>,
    stored: Arc<StoredKeys>,
    transport: Transport,
}

impl Gate {
    /// Guards the routes of `transport`.
    pub const fn new(
        app: Arc<App>,
        config: Arc<AuthConfig>,
        stored: Arc<StoredKeys>,
        transport: Transport,
    ) -> Self {
        Self {
            app,
            config,
            stored,
            transport,
        }
    }
}

/// Puts the [`Caller`] into the request, or answers 401, which is recorded.
pub async fn identify(
    State(gate): State<Gate>,
    Peer(peer): Peer,
    mut request: Request,
    next: Next,
) -> Response {
    let stored = |digest: &[u8; 32]| gate.stored.find(digest);
    match authenticate(request.headers(), peer, &gate.config, stored) {
        Ok(Identity { agent, key }) => {
            let caller = Caller {
                agent,
                transport: gate.transport,
                address: Some(peer),
            };
            request.extensions_mut().insert(caller);
            let response = next.run(request).await;
            match key {
                Some(key) => gate.stored.guard(key, response),
                None => response,
            }
        }
        Err(Unidentified::Unauthorized(unauthorized)) => {
            tracing::warn!(peer.address = %peer, path = request.uri().path(), "request without a valid API key");
            let entrance = Entrance {
                transport: gate.transport.as_str(),
                address: Some(peer),
            };
            gate.app.strangers.refused(entrance, "unauthorized").await;
            unauthorized.into_response()
        }
        Err(Unidentified::Queue(error)) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a key cannot be looked up");
            let message = "the database cannot be read";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).into_response()
        }
    }
}

impl IntoResponse for Unauthorized {
    fn into_response(self) -> Response {
        // The body is older than `{code, message}`: clients of the Python SMCP match on it.
        let body = Json(serde_json::json!({ "error": "unauthorized" }));
        let challenge = [(WWW_AUTHENTICATE, "Bearer")];
        (StatusCode::UNAUTHORIZED, challenge, body).into_response()
    }
}
