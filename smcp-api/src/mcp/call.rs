//! ①–③ and ⑨ for callers who hold a stream that cannot be resumed: HTTP+SSE, standard input and output, and the requests
//! of 2026-07-28. Where it breaks, its caller has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Extensions, MetaObject, ProgressNotificationParam,
    ProgressToken, RequestId,
};
use rmcp::service::RequestContext;
use serde_json::Value;
use smcp_common::job::{JobId, Retry, Source};
use smcp_common::plugin::OnDisconnect;
use tokio_util::sync::CancellationToken;

use super::follow::{Follower, Told};
use super::hand_over::hand_over;
use super::meter::Step;
use super::task;
use crate::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::dry_run;
use crate::refusal::Refusal;
use crate::retry_policy;
use crate::submit::{Request, Ticket, submit};

/// Where a request carries its idempotency key.
pub const KEY_META: &str = "smcp/idempotency-key";
/// The caller's retry policy in `_meta`.
pub const RETRY_META: &str = "smcp/retry";
/// The header that may carry it instead.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Why a job was stopped whose client gave no reason.
const TAKEN_BACK: &str = "the client cancelled its call";

/// The calls of one session whose answers have not been given.
#[derive(Debug, Clone)]
pub(super) struct HeldCalls {
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

impl HeldCalls {
    /// None yet.
    pub(super) fn new(app: Arc<App>) -> Self {
        Self {
            app,
            calls: Arc::default(),
        }
    }

    /// Records the job, follows it, and answers when it ends or the caller has waited long enough.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub(super) async fn run(
        &self,
        caller: &Caller,
        params: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Refusal> {
        let since = self.app.queue.clock().now();
        let request = Request {
            id: JobId::random(),
            tool: params.name.into_owned(),
            arguments: params.arguments.unwrap_or_default(),
            source: Source::Call,
            idempotency_key: idempotency_key(&context.meta.0, &context.extensions)?,
            run_at: None,
            priority: 0,
            retry: retry(&context.meta.0)?,
            call: None,
        };
        if dry_run::asked(&context.meta.0)? {
            let told = dry_run::preview(&self.app, caller, request).await?;
            return Ok(answer::value(told).into());
        }
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
                        Ok(hand_over(&self.app, &job).await?.into())
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
                tracing::info!(job.id = %job, "the caller has gone; the job goes on");
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

    /// Stops the job of a call that the client takes back.
    pub(super) async fn take_back(&self, id: &RequestId, reason: Option<&str>) {
        let Some((job, by)) = self.calls().get_mut(id).map(|call| {
            call.cancelled = true;
            (call.job.clone(), call.caller.clone())
        }) else {
            return;
        };
        let reason = reason.unwrap_or(TAKEN_BACK);
        match self.app.queue.cancel(&job, &by, Some(reason)).await {
            // Not recorded yet: whoever records it sees that the call was taken back.
            Ok(_) | Err(smcp_common::queue::QueueError::NoSuchJob(_)) => {}
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(job.id = %job, error, "a call that was taken back cannot be stopped");
            }
        }
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a call that nobody waits for any more, which therefore nobody reads.
pub(super) fn disconnected() -> Refusal {
    Refusal::new("disconnected", "The caller has gone.")
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

/// The caller's retry policy in the request's `_meta`, in the form that `jobs__submit` takes.
pub(super) fn retry(meta: &MetaObject) -> Result<Option<Retry>, Refusal> {
    meta.0
        .get(RETRY_META)
        .cloned()
        .map(retry_policy::read)
        .transpose()
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
