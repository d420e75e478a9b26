//! Every route of the HTTP edge, and the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use rmcp::ServerHandler;

use crate::app::App;
use crate::approval_link;
use crate::caller::Transport;
use crate::gate::{self, Gate};
use crate::health::{self, Readiness};
use crate::http_config::HttpConfig;
use crate::mcp::legacy_sse::{self, LegacySse};
use crate::mcp::streamable_http;
use crate::origin::{self, BadEntry, OriginPolicy};
use crate::problem::Problem;
use crate::stored_keys::StoredKeys;

/// Builds the router: who may reach it and who is calling are settled before a route sees the request.
///
/// `handler` makes the MCP handler of each session, and `readiness` answers `/readyz`. The router needs the [`Peer`](crate::serve::Peer) that [`serve`](crate::serve) puts into each request.
///
/// # Errors
/// [`BadEntry`] when `allowed_hosts` or `allowed_origins` cannot be read.
pub fn router<H, F>(
    config: &HttpConfig,
    app: &Arc<App>,
    handler: F,
    readiness: Readiness,
) -> Result<Router, BadEntry>
where
    F: Fn() -> H + Clone + Send + Sync + 'static,
    H: ServerHandler,
{
    let HttpConfig {
        host,
        allowed_hosts,
        allowed_origins,
        limits,
        ..
    } = config;
    let origin_policy = OriginPolicy::new(host, allowed_hosts, allowed_origins)?;
    let auth = Arc::new(config.auth.clone());
    let stored = Arc::new(StoredKeys::new(app.queue.clone()));
    let gate = |transport| {
        let (app, auth, stored) = (Arc::clone(app), Arc::clone(&auth), Arc::clone(&stored));
        from_fn_with_state(Gate::new(app, auth, stored, transport), gate::identify)
    };

    let open = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(readiness);

    let mcp = streamable_http::route(app, handler.clone(), *limits)
        .layer(gate(Transport::StreamableHttp));

    let sse = Router::new()
        .route(
            "/sse",
            get(legacy_sse::open::<H, F>).post(legacy_sse::misdirected::<F>),
        )
        .route("/messages", post(legacy_sse::post::<F>))
        .route("/messages/", post(legacy_sse::post::<F>))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(LegacySse::new(handler, *limits, app.drain.clone()))
        .layer(gate(Transport::Sse));

    let elsewhere = Router::new()
        .fallback(not_found)
        .layer(gate(Transport::Http));

    Ok(open
        .merge(approval_link::routes(app))
        .merge(mcp)
        .merge(sse)
        .merge(elsewhere)
        .layer(from_fn_with_state(Arc::new(origin_policy), origin::admit)))
}

async fn not_found(request: Request) -> Problem {
    let message = format!("there is nothing at {}", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, "not_found", message)
}

async fn method_not_allowed(request: Request) -> Problem {
    let message = format!(
        "{} does not take {}",
        request.uri().path(),
        request.method()
    );
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
}
