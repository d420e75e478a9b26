//! A server on a free port, and the handler behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use sha2::{Digest as _, Sha256};
use smcp_api::app::App;
use smcp_api::auth::{ApiKey, AuthConfig};
use smcp_api::caller::Caller;
use smcp_api::health::{NotReady, Readiness};
use smcp_api::http_config::{HttpConfig, Limits};
use smcp_api::mcp::handler::Handler;
use smcp_api::router::router;
use smcp_api::serve;
use smcp_common::agent::USERS;
use smcp_common::config::{Config, Environment, Flags};
use smcp_common::queue::{NewAgent, NewKey};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::worker::Worker;

/// Size of the answer of the tool `flood`.
pub(crate) const FLOOD_BYTES: usize = 1024 * 1024;

/// Users who have keys of their names.
const AGENTS: [&str; 2] = ["ann", "bob"];

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    _data: TempDir,
}

impl Server {
    /// Agents `ann` and `bob` have keys of their names; loopback needs none.
    pub(crate) async fn start() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: HttpConfig) -> Self {
        Self::serve(config, Vec::new(), |_| || Probe).await.0
    }

    /// A server with the real handler, and a worker for it.
    pub(crate) async fn working(config: HttpConfig) -> (Self, Worker) {
        let handler = |app: Arc<App>| move || Handler::new(Arc::clone(&app));
        let (server, app) = Self::serve(config, Vec::new(), handler).await;
        for name in AGENTS {
            let agent = NewAgent {
                name: name.to_owned(),
                groups: [USERS.to_owned()].into(),
                max_running: None,
            };
            // Not the one that it shows.
            let key = NewKey {
                id: name.to_owned(),
                digest: Sha256::digest(name).into(),
                prefix: "smcp_x".to_owned(),
                lifetime: None,
            };
            app.queue.add_agent(agent, key, "test").await.unwrap();
        }
        (server, Worker::start(&app).await)
    }

    pub(crate) async fn not_ready(code: &'static str) -> Self {
        let message = "not yet".to_owned();
        let obstacles = vec![NotReady { code, message }];
        Self::serve(config(), obstacles, |_| || Probe).await.0
    }

    async fn serve<H, F>(
        config: HttpConfig,
        obstacles: Vec<NotReady>,
        handler: impl FnOnce(Arc<App>) -> F,
    ) -> (Self, Arc<App>)
    where
        F: Fn() -> H + Clone + Send + Sync + 'static,
        H: ServerHandler,
    {
        let shutdown = CancellationToken::new();
        let readiness = Readiness::new(move || std::future::ready(obstacles.clone()));
        let data = tempfile::tempdir().unwrap();
        let flags = Flags {
            data_dir: Some(data.path().to_owned()),
            ..Flags::default()
        };
        let settings = Config::load(None, &Environment::default(), &flags).unwrap();
        let app = smcp_api::open(&settings, true, shutdown.clone()).unwrap();
        let router = router(&config, &app, handler(Arc::clone(&app)), readiness).unwrap();
        let bound = serve::bind(&config).await.unwrap();
        let server = Self {
            address: bound.address(),
            shutdown: shutdown.clone(),
            task: tokio::spawn(bound.serve(router, shutdown)),
            _data: data,
        };
        (server, app)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn config() -> HttpConfig {
    HttpConfig {
        port: 0,
        auth: AuthConfig {
            keys: AGENTS.map(|name| ApiKey::new(name, name)).into(),
            ..AuthConfig::default()
        },
        limits: Limits {
            max_body_bytes: 1000,
            inbox_timeout: Duration::from_millis(100),
            write_timeout: Duration::from_millis(200),
            ..Limits::default()
        },
        ..HttpConfig::default()
    }
}

/// Answers `whoami` with the caller, and `flood` with a lot.
pub(crate) struct Probe;

impl ServerHandler for Probe {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = Arc::new(JsonObject::new());
        let tool = |name: &'static str| Tool::new(name, name, Arc::clone(&schema));
        Ok(ListToolsResult::with_all_items(vec![
            tool("flood"),
            tool("whoami"),
        ]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = match &*request.name {
            "whoami" => {
                let caller = Caller::of(&context.extensions)
                    .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                format!("{} via {}", caller.agent, caller.transport.as_str())
            }
            _ => "x".repeat(FLOOD_BYTES),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
