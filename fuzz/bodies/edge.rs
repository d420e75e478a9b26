//! The HTTP edge with all that is behind it but a worker.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use futures::StreamExt as _;
use futures::stream::Fuse;
use serde_json::json;
use smcp_api::app::App;
use smcp_api::auth::{ApiKey, AuthConfig};
use smcp_api::health::Readiness;
use smcp_api::http_config::{HttpConfig, Limits};
use smcp_api::mcp::handler::Handler;
use smcp_api::router::router;
use smcp_api::serve::Peer;
use smcp_common::config::{Calls, Config, Environment, Flags};
use smcp_common::plugin::Manifest;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use crate::request::Header;

/// The longest body, so that inputs need not be long to be too long.
const MAX_BODY_BYTES: usize = 2_000;
/// How long to listen to a stream, and how much.
const LISTEN: Duration = Duration::from_millis(5);
const CHUNKS: usize = 16;
/// How long to wait for an answer to begin, before hanging up.
const PATIENCE: Duration = Duration::from_millis(500);
/// What callers are kept waiting, less than a client listens, so that it sees what they are told then.
const CALLS: Calls = Calls {
    task_after: Duration::from_millis(3),
    wait: Duration::from_millis(3),
    wait_with_progress: Duration::from_millis(8),
    heartbeat: Duration::from_millis(3),
};

/// A client and its server, without a network between them.
pub(crate) struct Edge {
    router: Router,
    /// The id of the session that is open, and of the newest event that was seen.
    pub(crate) session: String,
    pub(crate) event: String,
}

/// What all inputs share: a queue with a tool in it that nobody runs.
struct Shared {
    runtime: Runtime,
    app: Arc<App>,
    _directory: TempDir,
}

thread_local! {
    static SHARED: Shared = Shared::new();
}

impl Shared {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let flags = Flags {
            data_dir: Some(directory.path().to_owned()),
            ..Flags::default()
        };
        let mut settings = Config::load(None, &Environment::default(), &flags).unwrap();
        settings.calls = CALLS;
        let app = runtime.block_on(async {
            let app = smcp_api::open(&settings, false, CancellationToken::new()).unwrap();
            let describe = json!({"commands": [{"name": "wait", "parameters": [{"name": "n", "type": "integer"}]}]});
            let (tools, _) = Manifest::parse(&describe).unwrap().into_tools("fuzz");
            let plugin = json!({
                "name": "fuzz", "directory": "/", "entry": "cli.py", "digest": "0", "interpreter": "/",
                "description": null, "tools": tools, "problems": [],
            });
            let plugins = vec![serde_json::from_value(plugin).unwrap()];
            app.queue.want_scan("fuzz").await.unwrap();
            let wanted = app.queue.take_scan("fuzz").await.unwrap().unwrap();
            let done = app.queue.finish_scan("fuzz", wanted, plugins, Vec::new());
            done.await.unwrap();
            app
        });
        Self {
            runtime,
            app,
            _directory: directory,
        }
    }
}

impl Edge {
    fn new(app: &Arc<App>) -> Self {
        let config = HttpConfig {
            auth: AuthConfig {
                keys: ["ann", "bob"].map(|name| ApiKey::new(name, name)).into(),
                ..AuthConfig::default()
            },
            limits: Limits {
                max_body_bytes: MAX_BODY_BYTES,
                max_sessions: u32::MAX,
                inbox_timeout: LISTEN,
                ..Limits::default()
            },
            ..HttpConfig::default()
        };
        let readiness = Readiness::new(|| std::future::ready(Vec::new()));
        let handler = {
            let app = Arc::clone(app);
            move || Handler::new(Arc::clone(&app))
        };
        Self {
            router: router(&config, app, handler, readiness).unwrap(),
            session: "0".repeat(32),
            event: "0".to_owned(),
        }
    }

    /// Sends a request with these headers and, as far as they are not among them, the usual ones. `None` where HTTP
    /// cannot carry it, and where no answer begins in time.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        uri: &str,
        (headers, usual): (&[Header<'_>], &[(&str, &str)]),
        body: Vec<u8>,
    ) -> Option<Response<Body>> {
        let mut request = Request::builder().method(method).uri(uri);
        for header in headers {
            let value = header.value(&self.session, &self.event);
            request = request.header(header.name(), value);
        }
        let mut request = request.body(Body::from(body)).ok()?;
        for (name, value) in usual {
            let headers = request.headers_mut();
            if !headers.contains_key(*name) {
                headers.insert(
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).ok()?,
                );
            }
        }
        request
            .extensions_mut()
            .insert(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let answer = tokio::time::timeout(PATIENCE, self.router.call(request));
        let response = answer.await.ok()?.unwrap();
        assert_ne!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        Some(response)
    }

    /// Reads what there is on a stream, and notes the session's address and the events that it names.
    pub(crate) async fn listen(&mut self, stream: &mut Fuse<BodyDataStream>) {
        for _ in 0..CHUNKS {
            let Ok(Some(Ok(chunk))) = tokio::time::timeout(LISTEN, stream.next()).await else {
                return;
            };
            for line in String::from_utf8_lossy(&chunk).lines() {
                if let Some((_, session)) = line.split_once("?session_id=") {
                    session.clone_into(&mut self.session);
                }
                if let Some(event) = line.strip_prefix("id:") {
                    event.trim().clone_into(&mut self.event);
                }
            }
        }
    }
}

/// Runs one input to its end.
pub(crate) fn play(input: impl AsyncFnOnce(&mut Edge)) {
    SHARED.with(|shared| {
        shared.runtime.block_on(async {
            let mut edge = Edge::new(&shared.app);
            input(&mut edge).await;
        });
    });
}
