//! The HTTP+SSE transport of MCP 2024-11-05: `GET /sse` and `POST /messages/?session_id=…`.
//!
//! The event stream opens with the address to post to; everything that the server says goes out on it, and a POST
//! is answered 202 as soon as its message has been taken. The session ends with the stream: the protocol then
//! sees the end of its input, and what must outlive a lost connection has to be detached by the handler.
//! Answers are plain text, as the official SDK gives them.

use std::future::ready;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use futures::{StreamExt as _, stream};
use rmcp::model::GetExtensions as _;
use rmcp::{ServerHandler, ServiceExt as _};
use serde::Deserialize;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::call::IDEMPOTENCY_KEY;
use super::legacy_pipe::Pipe;
use super::legacy_session::{DeliveryError, INBOX, Outgoing, Registration, Sessions};
use super::message::{self, Incoming, MessageError};
use crate::body::{self, BodyError};
use crate::caller::{Caller, UnknownCaller};
use crate::http_config::Limits;

/// Interval of SSE comments on a silent stream, below the idle limits of usual proxies.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a client is asked to wait before it comes back to a server that has stopped.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// State of the transport: how to make a handler, and the open sessions.
#[derive(Debug, Clone)]
pub struct LegacySse<F> {
    handler: F,
    limits: Limits,
    shutdown: CancellationToken,
    sessions: Sessions,
}

impl<F> LegacySse<F> {
    /// Serves each session with a handler of its own, made by `handler`; ends all of them on `shutdown`.
    pub fn new(handler: F, limits: Limits, shutdown: CancellationToken) -> Self {
        Self {
            handler,
            limits,
            shutdown,
            sessions: Sessions::default(),
        }
    }
}

/// `GET /sse`: opens a session and streams what the server says in it.
///
/// # Errors
/// [`SseError::TooManySessions`]; [`SseError::Caller`] when no layer has said who is calling.
pub async fn open<H, F>(
    State(transport): State<LegacySse<F>>,
    request: Request,
) -> Result<Response, SseError>
where
    F: Fn() -> H,
    H: ServerHandler,
{
    let (parts, _) = request.into_parts();
    let caller = caller(&parts)?;
    let limits = &transport.limits;
    let opened = transport.sessions.open(&caller.agent, limits);
    let (registration, pipe) = opened.ok_or(SseError::TooManySessions(limits.max_sessions))?;
    tracing::info!(caller.agent, "SSE session opened");
    let shutdown = transport.shutdown.child_token();
    tokio::spawn(converse((transport.handler)(), pipe, shutdown));

    let address = format!("/messages/?session_id={}", registration.id());
    let endpoint = Event::default().event("endpoint").data(address);
    // On shutdown the protocol ends the stream, once the answers that are due have been given.
    let shutdown = transport.shutdown;
    let last_word = stream::iter([()]).filter_map(move |()| ready(farewell(&shutdown)));
    let events = stream::iter([Ok(endpoint)])
        .chain(messages(registration))
        .chain(last_word);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    // Some proxies hold a response back until it is complete, unless told not to.
    let unbuffered = [("cache-control", "no-store"), ("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(keep_alive)).into_response())
}

/// `POST /messages/?session_id=…`: takes a message, or a batch of them, for an open session.
///
/// # Errors
/// [`SseError`]; no message has been taken then.
pub async fn post<F>(
    State(transport): State<LegacySse<F>>,
    Query(query): Query<SessionQuery>,
    request: Request,
) -> Result<Response, SseError> {
    let (parts, body) = request.into_parts();
    let id = query.session_id.ok_or(SseError::NoSessionId)?;
    if id.len() != 32 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(SseError::BadSessionId);
    }
    let agent = &caller(&parts)?.agent;
    // Before the body is read: whoever has no session need not send one.
    transport.sessions.find(&id, agent)?;
    let body = body::read(&parts.headers, body, transport.limits).await?;
    let messages = parse(&body, &parts)?;
    transport
        .sessions
        .deliver(&id, agent, messages, transport.limits.inbox_timeout)
        .await?;
    Ok((StatusCode::ACCEPTED, "Accepted").into_response())
}

/// `POST /sse`: tells clients that mistake the stream's address for the one to post to.
pub async fn misdirected<F>(State(transport): State<LegacySse<F>>, request: Request) -> Response {
    const ADVICE: &str = "POST requests to /sse should be sent to /messages/ instead. Use GET /sse to establish \
                          SSE connection, then POST to /messages/ to send messages.";
    let (parts, body) = request.into_parts();
    match body::read(&parts.headers, body, transport.limits).await {
        Ok(body) if body.is_empty() => bad_request("Empty POST request"),
        Ok(_) => bad_request(ADVICE),
        Err(BodyError::Broken(error)) => {
            let text = format!("Error processing request: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
        Err(error @ (BodyError::TooLarge { .. } | BodyError::TooSlow)) => error.into_response(),
    }
}

/// Query string of [`post`].
#[derive(Debug, Deserialize)]
pub struct SessionQuery {
    session_id: Option<String>,
}

/// Why a request to this transport is refused.
#[derive(Debug, Error)]
pub enum SseError {
    /// The query string names no session.
    #[error("session_id is required")]
    NoSessionId,
    /// The query string names something that is no session id.
    #[error("Invalid session ID")]
    BadSessionId,
    /// The session cannot take messages from this agent, or not now.
    #[error(transparent)]
    Session(#[from] DeliveryError),
    /// The body was not read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is no message.
    #[error("Could not parse message: {0}")]
    Message(MessageError),
    /// The body holds more messages than a session has room for.
    #[error("Could not parse message: a batch holds at most {INBOX} messages")]
    LargeBatch,
    /// Nobody may open another session now.
    #[error("{0} sessions are open, which is the limit (http.max_sessions); come again later")]
    TooManySessions(u32),
    /// No layer has said who is calling.
    #[error(transparent)]
    Caller(#[from] UnknownCaller),
}

impl IntoResponse for SseError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Body(error) => return error.into_response(),
            Self::NoSessionId | Self::BadSessionId | Self::Message(_) | Self::LargeBatch => {
                StatusCode::BAD_REQUEST
            }
            Self::Session(DeliveryError::NoSession) => StatusCode::NOT_FOUND,
            Self::Session(DeliveryError::Busy) | Self::TooManySessions(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Caller(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}

/// Runs the protocol over `pipe` until the client is gone, breaks the protocol, or the server stops.
async fn converse<H: ServerHandler>(handler: H, pipe: Pipe, shutdown: CancellationToken) {
    // Boxed, as the opening takes much more memory than what the session needs after it.
    let opened = Box::pin(handler.serve_with_ct(pipe, shutdown)).await;
    match opened {
        Ok(running) => match running.waiting().await {
            Ok(reason) => tracing::info!(?reason, "SSE session ended"),
            Err(error) => tracing::error!(%error, "SSE session crashed"),
        },
        Err(error) => tracing::info!(%error, "SSE session ended before it was initialized"),
    }
}

fn messages(registration: Registration) -> impl futures::Stream<Item = Result<Event, axum::Error>> {
    // The stream owns the registration, so that the session ends when the connection drops the stream.
    stream::unfold(registration, async |mut registration| {
        let message = registration.next().await?;
        Some((event(&message), registration))
    })
}

/// Tells the client when to come back, where it is us who end the stream.
fn farewell(shutdown: &CancellationToken) -> Option<Result<Event, axum::Error>> {
    shutdown
        .is_cancelled()
        .then(|| Ok(Event::default().retry(RETRY)))
}

fn event(message: &Outgoing) -> Result<Event, axum::Error> {
    Event::default().event("message").json_data(message)
}

/// Reads the messages of a body and notes on each where it came from, as the other transport does.
fn parse(body: &Bytes, parts: &Parts) -> Result<Vec<Incoming>, SseError> {
    let mut messages = message::parse_batch(body).map_err(SseError::Message)?;
    if messages.len() > INBOX {
        return Err(SseError::LargeBatch);
    }
    let parts = essence(parts)?;
    for message in &mut messages {
        match message {
            Incoming::Request(message) => {
                message.request.extensions_mut().insert(parts.clone());
            }
            Incoming::Notification(message) => {
                message.notification.extensions_mut().insert(parts.clone());
            }
            // An answer goes to the request that it answers, which knows its caller.
            Incoming::Response(_) | Incoming::Error(_) => {}
        }
    }
    Ok(messages)
}

/// What the handler needs to know of a request. The whole would keep the buffer of its connection as long as the call.
fn essence(parts: &Parts) -> Result<Parts, UnknownCaller> {
    let (mut essence, ()) = axum::http::Request::new(()).into_parts();
    essence.extensions.insert(caller(parts)?.clone());
    if let Some(key) = parts.headers.get(IDEMPOTENCY_KEY)
        && let Ok(copy) = HeaderValue::from_bytes(key.as_bytes())
    {
        essence.headers.insert(IDEMPOTENCY_KEY, copy);
    }
    Ok(essence)
}

fn caller(parts: &Parts) -> Result<&Caller, UnknownCaller> {
    parts.extensions.get().ok_or(UnknownCaller)
}

fn bad_request(text: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, text).into_response()
}
