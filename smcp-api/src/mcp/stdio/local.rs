//! The server of a client that may have started it this instant: tools are told when they are known.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{ClientNotification, ClientRequest, ProtocolVersion, ServerConfig, ServerResult};
use rmcp::service::{NotificationContext, RequestContext, Service};
use rmcp::{ErrorData, RoleServer};
use tokio::sync::OnceCell;

use crate::app::App;

/// How long the first client waits for the plugins to be described. Most ask for the tools once and never again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves like `S`, but holds back what needs the tools of plugins until these are known.
#[derive(Debug)]
pub(super) struct Local<S> {
    service: S,
    app: Arc<App>,
    after_scan: Option<i64>,
    known: OnceCell<()>,
}

impl<S> Local<S> {
    /// Waits for a scan that is later than `after_scan`, if for any.
    pub(super) fn new(service: S, app: Arc<App>, after_scan: Option<i64>) -> Self {
        let known = OnceCell::new();
        Self {
            service,
            app,
            after_scan,
            known,
        }
    }

    async fn know_the_tools(&self) {
        let Some(after_scan) = self.after_scan else {
            return;
        };
        let scanned = async {
            let mut news = self.app.queue.news();
            loop {
                news.mark_unchanged();
                match self.app.queue.catalogue() {
                    Ok(catalogue) if catalogue.scanned > after_scan => return,
                    // The sender lives as long as the queue.
                    Ok(_) => drop(news.changed().await),
                    // Whoever asks is told.
                    Err(_) => return,
                }
            }
        };
        if tokio::time::timeout(PATIENCE, scanned).await.is_err() {
            let waited_s = PATIENCE.as_secs();
            tracing::warn!(
                waited_s,
                "no worker has described the plugins; clients are told what is known"
            );
        }
    }
}

impl<S: Service<RoleServer>> Service<RoleServer> for Local<S> {
    async fn handle_request(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        // Our own tools, too, as some of them call those of plugins.
        if matches!(
            request,
            ClientRequest::ListToolsRequest(_) | ClientRequest::CallToolRequest(_)
        ) {
            tokio::select! {
                () = async { self.known.get_or_init(|| self.know_the_tools()).await; } => {}
                () = context.ct.cancelled() => {
                    return Err(ErrorData::internal_error("taken back before it began", None));
                }
            }
        }
        self.service.handle_request(request, context).await
    }

    fn handle_notification(
        &self,
        notification: ClientNotification,
        context: NotificationContext<RoleServer>,
    ) -> impl Future<Output = Result<(), ErrorData>> + Send + '_ {
        self.service.handle_notification(notification, context)
    }

    fn get_info(&self) -> ServerConfig {
        self.service.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.service.supported_protocol_versions()
    }
}
