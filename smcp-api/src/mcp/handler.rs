//! ① The MCP server: one handler for every transport, made anew for each session.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CancelledNotificationParam,
    CustomRequest, CustomResult, ErrorCode, GetTaskParams, GetTaskResult, Implementation,
    ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
    ServerCapabilities, ServerConfig, SubscriptionFilter, Tool, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio_util::task::AbortOnDropHandle;

use super::call::HeldCalls;
use super::{announce, call, listing, resource, revision, task};
use crate::answer;
use crate::app::App;
use crate::builtin;
use crate::caller::Caller;
use crate::dry_run;
use crate::refusal::Refusal;

/// The name that the original announced, so that clients' settings keep fitting.
const SERVER_NAME: &str = "sanctum-letta-mcp";

const INSTRUCTIONS: &str = "Each tool call is recorded as a job and run by a worker; its answer carries the job's id \
    in _meta as smcp/job. Use jobs__submit for work that should go on without you, jobs__wait and jobs__get to follow \
    it, jobs__output for long output, and jobs__cancel to stop it.";

/// The handler of one session.
#[derive(Debug, Clone)]
pub struct Handler {
    app: Arc<App>,
    calls: HeldCalls,
    /// Ends with the session, as the handler does.
    announcements: Arc<OnceLock<AbortOnDropHandle<()>>>,
}

impl Handler {
    /// A handler for a new session.
    pub fn new(app: Arc<App>) -> Self {
        Self {
            calls: HeldCalls::new(Arc::clone(&app)),
            app,
            announcements: Arc::default(),
        }
    }

    async fn call(
        &self,
        caller: &Caller,
        params: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Refusal> {
        let Some(tool) = builtin::find(&params.name) else {
            return self.calls.run(caller, params, context).await;
        };
        dry_run::check_builtin(&context.meta.0, tool.name())?;
        let arguments = params.arguments.unwrap_or_default();
        let answer = tokio::select! {
            // First, since our own end is an answer, too.
            biased;
            answer = builtin::call(&self.app, caller, tool, arguments) => answer?,
            // Nobody waits for it any more.
            () = context.ct.cancelled(), if tool.may_repeat() => return Err(call::disconnected()),
        };
        Ok(answer::value(answer).into())
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_tool_list_changed()
                .enable_tasks()
                .enable_resources()
                .build(),
        );
        info.server_info = Implementation::new(SERVER_NAME, env!("CARGO_PKG_VERSION"));
        info.server_info.title = Some("SMCP".to_owned());
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let caller = caller(&context)?;
        let tools =
            listing::tools(&self.app, caller).map_err(|refusal| refusal.to_protocol_error())?;
        listing::page(tools, params.and_then(|params| params.cursor).as_deref())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        // Whoever speaks a revision without sessions subscribes.
        if context.peer.peer_info().is_none() {
            return;
        }
        match Caller::of(&context.extensions) {
            Ok(caller) => {
                self.announcements
                    .get_or_init(|| announce::to_session(&self.app, caller, context.peer));
            }
            Err(error) => tracing::warn!(%error, "a session cannot be told of changed tools"),
        }
    }

    fn accepted_subscription_filter(&self, _: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(SubscriptionFilter::builder().tools_list_changed().build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let caller = caller(context.request_context())?;
        announce::to_subscriber(&self.app, caller, &context).await;
        Ok(())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        listing::tool(&self.app, name)
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let caller = caller(&context)?;
        let is_job = builtin::find(&params.name).is_none();
        let answer = self.call(caller, params, &context).await;
        let answer = answer.unwrap_or_else(|refusal| {
            if is_job {
                self.app.counters.answered(true);
            }
            answer::refused(&refusal).into()
        });
        if let CallToolResponse::Complete(result) = answer {
            let revision = context.protocol_version();
            return Ok(revision::for_revision(result, revision.as_ref()).into());
        }
        Ok(answer)
    }

    async fn get_task(
        &self,
        params: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        task::get(&self.app, caller(&context)?, &params.task_id).await
    }

    async fn update_task(
        &self,
        params: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        task::update(&self.app, caller(&context)?, &params.task_id)
    }

    async fn cancel_task(
        &self,
        params: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        task::cancel(&self.app, caller(&context)?, &params.task_id).await
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        resource::list(&self.app, caller(&context)?).await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(resource::templates())
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = resource::read(&self.app, caller(&context)?, &params.uri).await?;
        Ok(read.into())
    }

    async fn on_cancelled(
        &self,
        params: CancelledNotificationParam,
        _: NotificationContext<RoleServer>,
    ) {
        if let Some(id) = &params.request_id {
            self.calls.take_back(id, params.reason.as_deref()).await;
        }
    }

    /// There are no prompts; rmcp would answer with an empty list as if there might be some.
    fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListPromptsResult, ErrorData>> + Send + '_ {
        std::future::ready(Err(
            ErrorData::method_not_found::<ListPromptsRequestMethod>(),
        ))
    }

    /// rmcp hands over known methods whose parameters it cannot read, too.
    fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<CustomResult, ErrorData>> + Send + '_ {
        let error = match request.method.as_str() {
            "tools/call" => ErrorData::invalid_params(
                "tools/call takes params {\"name\": string, \"arguments\"?: object}",
                None,
            ),
            "tools/list" => {
                ErrorData::invalid_params("tools/list takes params {\"cursor\"?: string}", None)
            }
            "resources/read" => {
                ErrorData::invalid_params("resources/read takes params {\"uri\": string}", None)
            }
            method @ ("resources/list" | "resources/templates/list") => ErrorData::invalid_params(
                format!("{method} takes params {{\"cursor\"?: string}}"),
                None,
            ),
            method => {
                let method: String = method.chars().take(80).collect();
                ErrorData::new(
                    ErrorCode::METHOD_NOT_FOUND,
                    format!("there is no method {method}"),
                    None,
                )
            }
        };
        std::future::ready(Err(error))
    }
}

fn caller(context: &RequestContext<RoleServer>) -> Result<&Caller, ErrorData> {
    Caller::of(&context.extensions)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}
