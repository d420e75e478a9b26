//! The layer that keeps each session to the agent that opened it. rmcp serves whoever knows a session's id.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::model::ProtocolVersion;
use serde_json::json;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

/// Answers a request for a session that does not exist, or is another agent's, with 404: a client then opens a new one.
pub(in crate::mcp) async fn admit(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(id) = session_id(request.headers()) else {
        return next.run(request).await;
    };
    let caller = request.extensions().get::<Caller>();
    match app.queue.session(id) {
        Ok(Some(session)) if caller.is_some_and(|caller| caller.agent == session.agent) => {
            next.run(request).await
        }
        Ok(_) => unknown(),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "a session cannot be looked up");
            let message = "the database cannot be read";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).into_response()
        }
    }
}

/// The session that a request belongs to. Revisions without sessions ignore the header.
fn session_id(headers: &HeaderMap) -> Option<&str> {
    let version = headers.get("mcp-protocol-version");
    let without_sessions = version.is_some_and(|version| {
        version.as_bytes() >= ProtocolVersion::V_2026_07_28.as_str().as_bytes()
    });
    if without_sessions {
        return None;
    }
    // What is no text is no session's id either, and finds none.
    let id = headers.get("mcp-session-id")?;
    Some(id.to_str().unwrap_or_default())
}

fn unknown() -> Response {
    let message =
        "Session not found: it has ended or never existed. Open a new one with initialize.";
    let error = json!({"code": -32001, "message": message});
    let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}
