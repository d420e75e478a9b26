//! ① The MCP server: one handler for every transport, made anew for each session.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CancelledNotificationParam,
    CustomRequest, CustomResult, ErrorCode, Extensions, GetTaskParams, GetTaskResult,
    Implementation, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, MetaObject,
    PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ReadResourceRequestParams,
    ReadResourceResponse, RequestId, ServerCapabilities, ServerConfig, Tool, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use smcp_common::job::{JobId, Source};
use smcp_common::plugin::OnDisconnect;
use tokio_util::sync::CancellationToken;

use super::follow::{Follower, Told};
use super::hand_over::hand_over;
use super::meter::Step;
use super::{listing, resource, revision, task};
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
/// The header that may carry it instead.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

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
    ) -> Result<CallToolResponse, Refusal> {
        let arguments = params.arguments.unwrap_or_default();
        if let Some(tool) = builtin::find(&params.name) {
            let call = builtin::call(&self.app, caller, tool, arguments);
            let answer = tokio::select! {
                // First, since our own end is an answer, too.
                biased;
                answer = call => answer?,
                // Nobody waits for it any more.
                () = context.ct.cancelled(), if tool.may_repeat() => return Err(disconnected()),
            };
            return Ok(answer::value(answer).into());
        }
        let request = Request {
            id: JobId::random(),
            tool: params.name.into_owned(),
            arguments,
            source: Source::Call,
            idempotency_key: idempotency_key(&context.meta.0, &context.extensions)?,
            run_at: None,
            priority: 0,
            call: None,
        };
        self.run(caller, request, context).await
    }

    /// Records the job, follows it, and answers when it ends or the caller has waited long enough.
    async fn run(
        &self,
        caller: &Caller,
        request: Request,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Refusal> {
        let since = self.app.queue.clock().now();
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
        let (job, on_disconnect) = (ticket.job, ticket.on_disconnect);
        let token = context.meta.get_progress_token();
        let takes_tasks = takes_tasks(context);
        let limit = match (takes_tasks, &token) {
            (true, _) => self.app.calls.task_after,
            (false, Some(_)) => self.app.calls.wait_with_progress,
            (false, None) => self.app.calls.wait,
        };
        let app = Arc::clone(&self.app);
        let wait = (since, limit);
        let mut follower = Follower::new(app, job.clone(), ticket.news, 0, token.is_some(), wait);
        tokio::select! {
            // First, since our own end is an answer, and may look like the client's.
            biased;
            told = tell(&mut follower, token, context, &self.app.drain) => {
                self.calls().remove(&context.id);
                match told? {
                    Told::Ended(result) => Ok((*result).into()),
                    Told::Waited if takes_tasks => {
                        Ok(CallToolResponse::Task(task::created(&self.app, &job).await?))
                    }
                    Told::Waited | Told::Stopping | Told::Progress(..) | Told::Alive(_) => {
                        Ok(hand_over(&self.app, &job)?.into())
                    }
                }
            }
            // The client has gone, or has taken the call back, which `on_cancelled` deals with and needs the entry
            // for. Nobody reads this answer.
            () = context.ct.cancelled() => {
                self.gone(&job, caller, on_disconnect).await?;
                Err(disconnected())
            }
        }
    }

    /// Losing its caller stops a job only where the tool asks for that; our own end is no such loss.
    async fn gone(
        &self,
        job: &JobId,
        caller: &Caller,
        on_disconnect: OnDisconnect,
    ) -> Result<(), Refusal> {
        if self.app.drain.is_cancelled() {
            return Ok(());
        }
        match on_disconnect {
            OnDisconnect::Detach => {
                tracing::info!(job.id = %job, "the caller has gone; the job goes on")
            }
            OnDisconnect::Cancel => {
                let reason = Some("its caller has gone");
                self.app.queue.cancel(job, &caller.agent, reason).await?;
            }
        }
        Ok(())
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
        let mut info = ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
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
        let answer = self.call(caller, params, &context).await;
        let answer = answer.unwrap_or_else(|refusal| {
            if is_job {
                self.app.counters.answered(true);
            }
            answer::refused(&refusal).into()
        });
        Ok(match answer {
            CallToolResponse::Complete(result) => {
                revision::for_revision(result, context.protocol_version().as_ref()).into()
            }
            other => other,
        })
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

/// The answer to a call that nobody waits for any more, which therefore nobody reads.
fn disconnected() -> Refusal {
    Refusal::new("disconnected", "The caller has gone.")
}

fn internal(refusal: &Refusal) -> ErrorData {
    ErrorData::internal_error(refusal.message.clone(), None)
}

/// Tells the caller how its job gets on, until there is something to answer with.
async fn tell(
    follower: &mut Follower,
    token: Option<ProgressToken>,
    context: &RequestContext<RoleServer>,
    drain: &CancellationToken,
) -> Result<Told, Refusal> {
    loop {
        match (follower.next().await?, &token) {
            (Told::Progress(_, step) | Told::Alive(step), Some(token)) => {
                let params = notification(token.clone(), step);
                let sent = tokio::select! {
                    sent = context.peer.notify_progress(params) => sent,
                    // rmcp sends answers only from now on.
                    () = drain.cancelled() => return Ok(Told::Stopping),
                };
                if let Err(error) = sent {
                    // The client has gone; the job goes on, and the answer will find nobody either.
                    let error: &dyn std::error::Error = &error;
                    tracing::debug!(error, "progress could not be sent");
                }
            }
            (Told::Progress(..) | Told::Alive(_), None) => {}
            (end @ (Told::Ended(_) | Told::Waited | Told::Stopping), _) => return Ok(end),
        }
    }
}

/// A step of progress as the client reads it.
pub(super) fn notification(token: ProgressToken, step: Step) -> ProgressNotificationParam {
    let mut params = ProgressNotificationParam::new(token, step.progress);
    (params.total, params.message) = (step.total, step.message);
    params
}

/// Whether this request may be answered with a task: the extension belongs to requests without a session.
fn takes_tasks(context: &RequestContext<RoleServer>) -> bool {
    context
        .meta
        .client_capabilities()
        .is_some_and(|capabilities| capabilities.supports_tasks())
}

/// The key in the request's `_meta`, or else in the header `Idempotency-Key`.
pub(super) fn idempotency_key(
    meta: &MetaObject,
    extensions: &Extensions,
) -> Result<Option<String>, Refusal> {
    match meta.0.get(KEY_META) {
        Some(Value::String(key)) => return Ok(Some(key.clone())),
        Some(_) => {
            return Err(Refusal::invalid_arguments(format!(
                "_meta \"{KEY_META}\" must be a string."
            )));
        }
        None => {}
    }
    let parts = extensions.get::<axum::http::request::Parts>();
    let Some(header) = parts.and_then(|parts| parts.headers.get(IDEMPOTENCY_KEY)) else {
        return Ok(None);
    };
    match header.to_str() {
        Ok(key) => Ok(Some(key.to_owned())),
        Err(_) => Err(Refusal::invalid_arguments(
            "The header Idempotency-Key must be plain ASCII.",
        )),
    }
}
