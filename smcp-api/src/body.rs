//! Reading a request body within limits.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use thiserror::Error;
use tokio::time::timeout;

use crate::http_config::Limits;
use crate::problem::Problem;

/// How many times the limit is read and thrown away before a body that is too large is answered.
///
/// A client that is cut off while it is still sending often sees a reset connection instead of the answer.
const DISCARDED: usize = 8;

/// Reads the whole body of `request` before the inner service sees it, so that the limits hold on every route.
///
/// A request over a limit is answered here: 413 when it is too large, 408 when it is too slow, 400 when it breaks off.
pub async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match read(&parts.headers, body, limits).await {
        Ok(bytes) => next.run(Request::from_parts(parts, bytes.into())).await,
        Err(error) => error.into_response(),
    }
}

/// Reads `body` to its end.
///
/// # Errors
/// [`BodyError`] when a limit is passed or the connection fails.
pub async fn read(headers: &HeaderMap, body: Body, limits: Limits) -> Result<Bytes, BodyError> {
    timeout(
        limits.body_timeout,
        collect(headers, body, limits.max_body_bytes),
    )
    .await
    .unwrap_or(Err(BodyError::TooSlow))
}

/// Why a body was not read.
#[derive(Debug, Error)]
pub enum BodyError {
    /// It is longer than the limit.
    #[error("the request body is larger than the limit of {limit} bytes (max_body_bytes)")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It took longer than the limit.
    #[error("the request body did not arrive in time")]
    TooSlow,
    /// It ended before it was complete.
    #[error("the request body broke off")]
    Broken(#[source] axum::Error),
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        let (status, code) = match self {
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Self::Broken(_) => (StatusCode::BAD_REQUEST, "body_incomplete"),
        };
        Problem::new(status, code, self.to_string()).into_response()
    }
}

async fn collect(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let too_large = announced.is_some_and(|length| length > limit);
    if too_large && headers.contains_key(EXPECT) {
        // The client asked first and has sent nothing yet.
        return Err(BodyError::TooLarge { limit });
    }
    let mut collected = Vec::with_capacity(announced.unwrap_or(0).min(limit));
    let mut received = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(BodyError::Broken)?;
        received = received.saturating_add(chunk.len());
        if received > limit.saturating_mul(DISCARDED) {
            break;
        }
        if received <= limit {
            collected.extend_from_slice(&chunk);
        }
    }
    if received > limit {
        return Err(BodyError::TooLarge { limit });
    }
    Ok(collected.into())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures::stream;

    use super::*;

    fn limits() -> Limits {
        Limits {
            max_body_bytes: 10,
            body_timeout: Duration::from_secs(5),
            ..Limits::default()
        }
    }

    fn chunked(chunks: &[&'static str]) -> Body {
        let chunks: Vec<Result<&str, Infallible>> = chunks.iter().copied().map(Ok).collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn the_limit_holds_without_an_announced_length() {
        let exact = read(&HeaderMap::new(), chunked(&["12345", "67890"]), limits()).await;
        assert_eq!(exact.unwrap(), "1234567890");
        let larger = read(&HeaderMap::new(), chunked(&["12345", "678901"]), limits()).await;
        assert!(matches!(larger, Err(BodyError::TooLarge { limit: 10 })));
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_for_ever() {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>("12345"));
        let refused = read(&HeaderMap::new(), Body::from_stream(endless), limits()).await;
        assert!(matches!(refused, Err(BodyError::TooLarge { limit: 10 })));
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let silent = stream::pending::<Result<&str, Infallible>>();
        let hasty = Limits {
            body_timeout: Duration::from_millis(1),
            ..limits()
        };
        let refused = read(&HeaderMap::new(), Body::from_stream(silent), hasty).await;
        assert!(matches!(refused, Err(BodyError::TooSlow)));
    }
}
