//! `/healthz` and `/readyz`: is the process alive, and can it take work.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::json;

/// Asks the rest of the process whether it can take work.
#[derive(Clone)]
pub struct Readiness(Arc<dyn Fn() -> BoxFuture<'static, Vec<NotReady>> + Send + Sync>);

impl Readiness {
    /// Wraps `check`, which runs at each request of `/readyz` and returns everything that stands in the way.
    pub fn new<F, Fut>(check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<NotReady>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(check())))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness")
    }
}

/// One thing that keeps the process from taking work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotReady {
    /// Stable `snake_case` name of the obstacle.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// `GET /healthz`: 200 as long as the process answers at all.
pub async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// `GET /readyz`: 200, or 503 with the reasons.
pub async fn readyz(State(Readiness(check)): State<Readiness>) -> Response {
    let reasons = check().await;
    if reasons.is_empty() {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        let body = Json(json!({ "status": "not_ready", "reasons": reasons }));
        (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
    }
}
