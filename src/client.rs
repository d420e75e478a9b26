//! The MCP client with which the operator's commands reach the API, over Streamable HTTP.

mod problem;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig,
    ClientRequest, Implementation, ProgressNotificationParam, RequestMetaObject, ServerResult,
    Tool,
};
use rmcp::service::{
    NotificationContext, PeerRequestOptions, RequestHandle, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::FixedInterval;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use self::problem::explain;
pub(crate) use self::problem::{ToolError, text};
use crate::cli::Connection;
use crate::failure::BadUsage;
use crate::settings;

/// Answers are 16 MiB of text at the most; as JSON, each byte may become six.
const MAX_ANSWER_BYTES: usize = 128 * 1024 * 1024;
/// A broken stream is taken up again after so long …
const RETURN_EVERY: Duration = Duration::from_millis(500);
/// … and so often in vain at the most. The job goes on in any case, and its result stays.
const RETURNS: usize = 20;
/// How long to wait for the API to take note that a session has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where the API is, and as whom to call it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The address without a path.
    pub(crate) url: String,
    /// The API key.
    pub(crate) key: Option<Key>,
}

/// An API key, and where it comes from.
#[derive(Clone)]
pub(crate) struct Key {
    /// The key itself.
    pub(crate) secret: String,
    /// In words, for the message that it was refused.
    pub(crate) origin: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// The target that the options, the environment and the settings name.
    ///
    /// # Errors
    /// Settings that cannot be used, or an address that is none.
    pub(crate) fn of(options: &Connection) -> anyhow::Result<Self> {
        let settings = settings::load(&smcp_common::config::Flags::default())?;
        let url = match &options.url {
            Some(url) => base_url(url)?,
            None => format!("http://127.0.0.1:{}", settings.config.http.port),
        };
        let key = |secret: String, origin: &str| Key {
            secret,
            origin: origin.to_owned(),
        };
        let file = settings.config.operator_key_file();
        let key = options
            .api_key
            .clone()
            .map(|secret| key(secret, "the key of --api-key"))
            .or_else(|| {
                settings
                    .environment
                    .text("SMCP_API_KEY")
                    .map(|secret| key(secret, "the key in SMCP_API_KEY"))
            })
            .or_else(|| {
                let secret = smcp_api::operator_key::read(&file).ok()?;
                Some(key(
                    secret,
                    &format!("the operator's key in {}", file.display()),
                ))
            });
        Ok(Self { url, key })
    }
}

/// The address without a path, so that also the one of the MCP endpoint may be given.
fn base_url(url: &str) -> Result<String, BadUsage> {
    let base = url
        .trim_end_matches('/')
        .trim_end_matches("/mcp")
        .trim_end_matches('/');
    if base
        .strip_prefix("http://")
        .is_some_and(|host| !host.is_empty())
    {
        return Ok(base.to_owned());
    }
    Err(BadUsage(format!(
        "--url is '{url}', but must be an http address such as http://127.0.0.1:8000"
    )))
}

/// A session with the API.
#[derive(Debug)]
pub(crate) struct Client {
    target: Target,
    service: RunningService<RoleClient, Listener>,
    progress: mpsc::UnboundedReceiver<ProgressNotificationParam>,
}

impl Client {
    /// Opens a session.
    ///
    /// # Errors
    /// Nobody answers there, the key is refused, or something else answers; each with the remedy.
    pub(crate) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let mut http = reqwest::Client::builder();
        if is_loopback(&target.url) {
            // A proxy for the outside would be asked for its own loopback.
            http = http.no_proxy();
        }
        // Connections are not kept: one that the API has closed meanwhile would fail the next request.
        let http = http
            .pool_max_idle_per_host(0)
            .build()
            .context("cannot start the HTTP client")?;
        let mut config =
            StreamableHttpClientTransportConfig::with_uri(format!("{}/mcp", target.url))
                .max_sse_event_size(MAX_ANSWER_BYTES);
        config.auth_header = target.key.as_ref().map(|key| key.secret.clone());
        // An API that is restarted meanwhile goes on with the answer.
        let mut patience = FixedInterval::default();
        patience.duration = RETURN_EVERY;
        patience.max_times = Some(RETURNS);
        config.retry_config = Arc::new(patience);
        let (sender, progress) = mpsc::unbounded_channel();
        let listener = Listener { progress: sender };
        let service = listener
            .serve(StreamableHttpClientTransport::with_client(http, config))
            .await
            .map_err(|error| explain(error.into(), target))?;
        Ok(Self {
            target: target.clone(),
            service,
            progress,
        })
    }

    /// Whether what we send stays on this machine.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(&self.target.url)
    }

    /// The tools that we may call.
    ///
    /// # Errors
    /// What stands in the way, in words.
    pub(crate) async fn tools(&self) -> anyhow::Result<Vec<Tool>> {
        self.service
            .list_all_tools()
            .await
            .map_err(|error| explain(error.into(), &self.target))
    }

    /// Calls a tool with `meta` in the request's `_meta`, and tells what is heard of it meanwhile. Ctrl-C cancels it.
    ///
    /// # Errors
    /// The call could not be made or was interrupted. That a tool failed is an answer, not an error.
    pub(crate) async fn call(
        &mut self,
        tool: &str,
        arguments: Map<String, Value>,
        meta: Map<String, Value>,
        mut on_progress: impl FnMut(ProgressNotificationParam),
    ) -> anyhow::Result<CallToolResult> {
        let mut request = self.send(tool, arguments, meta).await?;
        let answer = loop {
            tokio::select! {
                biased;
                Some(progress) = self.progress.recv() => on_progress(progress),
                answer = &mut request.rx => break answer,
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.context("cannot watch for Ctrl-C")?;
                    let told = request.cancel(Some("interrupted".to_owned())).await;
                    told.map_err(|error| explain(error.into(), &self.target))?;
                    bail!("interrupted; {tool} has been asked to stop");
                }
            }
        };
        self.read(answer.map_err(|_| ServiceError::TransportClosed).flatten())
    }

    /// Asks a built-in tool, whose answer is one JSON object.
    ///
    /// # Errors
    /// [`ToolError`] where the tool refused; or the call could not be made.
    pub(crate) async fn ask(&mut self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let Value::Object(arguments) = arguments else {
            bail!("the arguments of {tool} are no object")
        };
        let request = self.send(tool, arguments, Map::new()).await?;
        let result = self.read(request.await_response().await)?;
        if result.is_error == Some(true) {
            return Err(ToolError::of(&result).into());
        }
        result
            .structured_content
            .with_context(|| format!("{tool} gave no structured answer"))
    }

    /// The same, read as a type of ours.
    ///
    /// # Errors
    /// As [`Client::ask`], and where the answer has another shape.
    pub(crate) async fn ask_as<T: DeserializeOwned>(
        &mut self,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<T> {
        let answer = self.ask(tool, arguments).await?;
        serde_json::from_value(answer)
            .with_context(|| format!("{tool} gave an answer that cannot be read"))
    }

    /// Ends the session, so that the API need not find out by itself.
    pub(crate) async fn close(mut self) {
        // What the caller came for has been received, so that nothing is worth an error or a long wait.
        drop(self.service.close_with_timeout(FAREWELL).await);
    }

    async fn send(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        extra: Map<String, Value>,
    ) -> anyhow::Result<RequestHandle<RoleClient>> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let mut options = PeerRequestOptions::no_options();
        if !extra.is_empty() {
            let mut meta = RequestMetaObject::new();
            meta.0.0.extend(extra);
            options = options.with_meta(meta);
        }
        let sent = self
            .service
            .send_cancellable_request(request, options)
            .await;
        sent.map_err(|error| explain(error.into(), &self.target))
    }

    fn read(&self, answer: Result<ServerResult, ServiceError>) -> anyhow::Result<CallToolResult> {
        let answer = answer.map_err(|error| explain(error.into(), &self.target))?;
        let ServerResult::CallToolResult(result) = answer else {
            bail!(
                "{} gave an answer of another kind: {answer:?}",
                self.target.url
            );
        };
        Ok(result)
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.trim_start_matches("http://");
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|loopback| host.starts_with(loopback))
}

/// Passes progress on to whoever waits for a call.
#[derive(Debug)]
struct Listener {
    progress: mpsc::UnboundedSender<ProgressNotificationParam>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("smcp", env!("CARGO_PKG_VERSION")),
        )
    }

    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        // Nobody listens any more once the answer is there.
        drop(self.progress.send(progress));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_the_endpoint() {
        for url in [
            "http://h:1",
            "http://h:1/",
            "http://h:1/mcp",
            "http://h:1/mcp/",
        ] {
            assert_eq!(base_url(url).unwrap(), "http://h:1", "{url}");
        }
        for url in ["h:1", "https://h", "http://", ""] {
            assert!(
                base_url(url)
                    .unwrap_err()
                    .to_string()
                    .contains("must be an http address"),
                "{url}"
            );
        }
    }

    #[test]
    fn a_key_never_shows_itself() {
        let key = Key {
            secret: "hunter2".into(),
            origin: "the key of --api-key".into(),
        };
        assert!(!format!("{key:?}").contains("hunter2"));
    }
}
