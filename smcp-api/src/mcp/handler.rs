//! ① The MCP server: one handler for every transport, made anew for each session.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelledNotificationParam,
    CustomRequest, CustomResult, ErrorCode, Implementation, ListPromptsRequestMethod,
    ListPromptsResult, ListToolsResult, PaginatedRequestParams, RequestId, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Map, Value};
use smcp_common::job::{JobId, Source};

use super::{listing, progress};
use crate::answer;
use crate::app::App;
use crate::builtin;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::submit::{Request, Ticket, submit};

/// The name that the original announced, so that clients' settings keep fitting.
const SERVER_NAME: &str = "sanctum-letta-mcp";
/// Where a request carries its idempotency key.
const KEY_META: &str = "smcp/idempotency-key";

const INSTRUCTIONS: &str = "Each tool call is recorded as a job and run by a worker; its answer carries the job's id \
    in _meta as smcp/job. Use jobs__submit for work that should go on without you, jobs__wait and jobs__get to follow \
    it, jobs__output for long output, and jobs__cancel to stop it.";

/// The handler of one session.
#[derive(Debug, Clone)]
pub struct Handler {
    app: Arc<App>,
    calls: Arc<Mutex<HashMap<RequestId, Call>>>,
}

/// A call whose answer has not been sent.
#[derive(Debug)]
struct Call {
    job: JobId,
    caller: String,
    /// The client has taken it back, perhaps before the job was recorded.
    cancelled: bool,
}

impl Handler {
    /// A handler for a new session.
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            calls: Arc::default(),
        }
    }

    async fn call(
        &self,
        caller: &Caller,
        params: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, Refusal> {
        let arguments = params.arguments.unwrap_or_default();
        if let Some(tool) = builtin::find(&params.name) {
            return builtin::call(&self.app, caller, tool, arguments)
                .await
                .map(answer::value);
        }
        let request = Request {
            id: JobId::random(),
            tool: params.name.into_owned(),
            arguments,
            source: Source::Call,
            idempotency_key: idempotency_key(context)?,
            run_at: None,
            priority: 0,
        };
        self.run(caller, request, context).await
    }

    /// Records the job, follows it, and answers when it ends.
    async fn run(
        &self,
        caller: &Caller,
        request: Request,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, Refusal> {
        let call = Call {
            job: request.id.clone(),
            caller: caller.agent.clone(),
            cancelled: false,
        };
        self.calls().insert(context.id.clone(), call);
        let ticket = match submit(&self.app, caller, request).await {
            Ok(ticket) => ticket,
            Err(refusal) => {
                self.calls().remove(&context.id);
                return Err(refusal);
            }
        };
        self.recorded(&context.id, &ticket).await?;
        let mut reporter = progress::Reporter::new(&self.app, &ticket, context);
        tokio::select! {
            ended = reporter.follow() => {
                self.calls().remove(&context.id);
                ended?;
                let answered = answer::answer(&self.app, &ticket.job).await?;
                answered.ok_or_else(|| Refusal::new("internal_error", "The job's end has not been recorded."))
            }
            // The client has gone, or has taken the call back, which `on_cancelled` deals with and needs the entry
            // for. Nobody reads this answer; the job goes on.
            () = context.ct.cancelled() => {
                Err(Refusal::new("disconnected", format!("The job {} goes on.", ticket.job)))
            }
        }
    }

    /// Notes which job the call has become, and stops it where the client has taken the call back meanwhile.
    async fn recorded(&self, id: &RequestId, ticket: &Ticket) -> Result<(), Refusal> {
        let taken_back = match self.calls().get_mut(id) {
            Some(call) => {
                call.job = ticket.job.clone();
                call.cancelled.then(|| call.caller.clone())
            }
            None => None,
        };
        if let Some(by) = taken_back {
            self.app
                .queue
                .cancel(&ticket.job, &by, Some(TAKEN_BACK))
                .await?;
        }
        Ok(())
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const TAKEN_BACK: &str = "the client cancelled its call";

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new(SERVER_NAME, env!("CARGO_PKG_VERSION"));
        info.server_info.title = Some("SMCP".to_owned());
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let caller = caller(&context)?;
        let tools = listing::tools(&self.app, caller).map_err(|refusal| internal(&refusal))?;
        Ok(ListToolsResult::with_all_items(tools))
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
        let result = self
            .call(caller, params, &context)
            .await
            .unwrap_or_else(|refusal| answer::refused(&refusal));
        if is_job {
            self.app.counters.answered(result.is_error == Some(true));
        }
        Ok(result.into())
    }

    async fn on_cancelled(
        &self,
        params: CancelledNotificationParam,
        _: NotificationContext<RoleServer>,
    ) {
        let Some(id) = params.request_id else { return };
        let Some((job, by)) = self.calls().get_mut(&id).map(|call| {
            call.cancelled = true;
            (call.job.clone(), call.caller.clone())
        }) else {
            return;
        };
        let reason = params.reason.as_deref().unwrap_or(TAKEN_BACK);
        match self.app.queue.cancel(&job, &by, Some(reason)).await {
            // Not recorded yet: whoever records it sees that the call was taken back.
            Ok(_) | Err(smcp_common::queue::QueueError::NoSuchJob(_)) => {}
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(job.id = %job, error, "a call that was taken back cannot be stopped");
            }
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

fn internal(refusal: &Refusal) -> ErrorData {
    ErrorData::internal_error(refusal.message.clone(), None)
}

/// The key in the request's `_meta`, or else in the header `Idempotency-Key`.
fn idempotency_key(context: &RequestContext<RoleServer>) -> Result<Option<String>, Refusal> {
    let meta: &Map<String, Value> = &context.meta.0.0;
    match meta.get(KEY_META) {
        Some(Value::String(key)) => return Ok(Some(key.clone())),
        Some(_) => {
            return Err(Refusal::invalid_arguments(format!(
                "_meta \"{KEY_META}\" must be a string."
            )));
        }
        None => {}
    }
    let parts = context.extensions.get::<axum::http::request::Parts>();
    let Some(header) = parts.and_then(|parts| parts.headers.get("idempotency-key")) else {
        return Ok(None);
    };
    match header.to_str() {
        Ok(key) => Ok(Some(key.to_owned())),
        Err(_) => Err(Refusal::invalid_arguments(
            "The header Idempotency-Key must be plain ASCII.",
        )),
    }
}
