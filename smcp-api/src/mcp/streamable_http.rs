//! The Streamable HTTP transport at `/mcp`, which rmcp speaks, with our rules around it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use rmcp::ServerHandler;
use rmcp::model::{ClientRequest, JsonRpcMessage, JsonRpcRequest};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;

use super::legacy_sse::KEEP_ALIVE;
use super::message::{self, Incoming, MessageError};
use super::session::{self, SessionError, Sessions, Store};
use crate::app::App;
use crate::body;
use crate::http_config::Limits;

/// Builds the route `/mcp`; `handler` makes a handler for each session and must be cheap, since rmcp also calls it
/// for single requests.
pub fn route<H, F>(app: &Arc<App>, handler: F, limits: Limits) -> Router
where
    F: Fn() -> H + Send + Sync + 'static,
    H: ServerHandler,
{
    let sessions = Arc::new(Sessions::new(Arc::clone(app), limits));
    // Host and Origin are checked for every route in `origin`; a second opinion here could only contradict it. The
    // streams end by themselves when the process is to stop, each with a last word, so that rmcp is not told.
    let mut config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_sse_keep_alive(Some(KEEP_ALIVE))
        .with_legacy_session_mode(true)
        .with_max_request_body_bytes(limits.max_body_bytes);
    config.session_store = Some(Arc::new(Store(Arc::clone(app))));
    let service = StreamableHttpService::new(move || Ok(handler()), sessions, config);
    Router::new()
        .route_service("/mcp", service)
        .layer(middleware::from_fn_with_state(
            (Arc::clone(app), limits.max_sessions),
            require_message,
        ))
        .layer(middleware::from_fn(confirm_deletion))
        .layer(middleware::from_fn_with_state(limits, body::limit))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            session::admit,
        ))
}

/// Answers a POST that holds no message with 400 and a JSON-RPC error; rmcp would answer 415 and name no reason. Where no
/// session can be opened, `initialize` is answered with 503, for which rmcp would say 500.
async fn require_message(
    State((app, max_sessions)): State<(Arc<App>, u32)>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    // The limit has already been applied by the layer outside.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let message = match read_message(&body) {
        Ok(message) => message,
        Err((code, message)) => return refuse(StatusCode::BAD_REQUEST, code, &message),
    };
    let opens_session = matches!(
        message,
        JsonRpcMessage::Request(JsonRpcRequest {
            request: ClientRequest::InitializeRequest(_),
            ..
        })
    );
    // A database that cannot be read is found again, and told, by whoever opens the session.
    if opens_session && app.queue.sessions_are_full(max_sessions).unwrap_or(false) {
        let error = SessionError::TooMany(max_sessions);
        let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, BUSY, &error.to_string());
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
        return response;
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

fn refuse(status: StatusCode, code: i32, message: &str) -> Response {
    let error = json!({ "code": code, "message": message });
    let body = Json(json!({ "jsonrpc": "2.0", "id": null, "error": error }));
    (status, body).into_response()
}

/// Answers 204 to a DELETE that ended a session; of rmcp's 202 the Python client warns as of a failure.
async fn confirm_deletion(request: Request, next: Next) -> Response {
    let is_deletion = request.method() == Method::DELETE;
    let response = next.run(request).await;
    if is_deletion && response.status() == StatusCode::ACCEPTED {
        return StatusCode::NO_CONTENT.into_response();
    }
    response
}

/// What JSON-RPC leaves to servers: come again later.
const BUSY: i32 = -32000;

fn read_message(body: &Bytes) -> Result<Incoming, (i32, String)> {
    const PARSE_ERROR: i32 = -32700;
    const INVALID_REQUEST: i32 = -32600;
    match message::parse(body) {
        Ok(message) => Ok(message),
        Err(error @ MessageError::Syntax(_)) => Err((PARSE_ERROR, error.to_string())),
        Err(_) if message::is_array(body) => {
            let message = "batches are not taken here: send each message in a POST of its own";
            Err((INVALID_REQUEST, message.to_owned()))
        }
        Err(error) => Err((INVALID_REQUEST, error.to_string())),
    }
}
