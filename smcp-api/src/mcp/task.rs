//! MCP Tasks (extension `io.modelcontextprotocol/tasks`, SEP-2663) over the job table: the task's id is the job's.
//!
//! A task is only spoken of once its job has been committed, and its life is the job's: there is no other record of it.
//! rmcp 3.9.0 cannot send `notifications/tasks`, so that clients ask with `tasks/get`.

use rmcp::ErrorData;
use rmcp::model::{
    CreateTaskResult, DetailedTask, GetTaskResult, InputRequests, JsonObject, Task, TaskPayload,
};
use serde::Serialize;
use serde_json::{Value, json};
use smcp_common::job::{EventKind, Job, JobEvent, JobId, StateName, Waiting, code};
use smcp_common::setting::Setting;

use crate::answer::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::policy::may_follow;
use crate::refusal::Refusal;
use crate::waiting::clause;

/// How often a client should ask.
const POLL_INTERVAL_MS: u64 = 1_000;
/// JSON-RPC's code for an error of the server.
const INTERNAL_ERROR: i32 = -32603;

/// The answer to a call that has become a task.
///
/// # Errors
/// `no_such_job`; database errors.
pub(super) async fn created(app: &App, id: &JobId) -> Result<CreateTaskResult, Refusal> {
    let job = app
        .queue
        .job(id)?
        .ok_or_else(|| Refusal::no_such_job(id.as_str()))?;
    Ok(CreateTaskResult::new(detailed(app, &job).await?.task))
}

/// `tasks/get`: where the task stands, with its result once it has one.
///
/// # Errors
/// −32602 for what is no task of the caller; −32603 when the database cannot be read.
pub(super) async fn get(app: &App, caller: &Caller, id: &str) -> Result<GetTaskResult, ErrorData> {
    let job = find(app, caller, id)?;
    let task = detailed(app, &job).await;
    task.map(GetTaskResult::new)
        .map_err(|refusal| refusal.to_protocol_error())
}

/// `tasks/update`: no job asks its caller for anything, so that there is nothing to take.
///
/// # Errors
/// As [`get`].
pub(super) fn update(app: &App, caller: &Caller, id: &str) -> Result<(), ErrorData> {
    find(app, caller, id).map(drop)
}

/// `tasks/cancel`: asks for the job to be stopped; of an ended one it changes nothing.
///
/// # Errors
/// As [`get`].
pub(super) async fn cancel(app: &App, caller: &Caller, id: &str) -> Result<(), ErrorData> {
    let job = find(app, caller, id)?;
    let asked = app
        .queue
        .cancel(&job.id, &caller.agent, Some("tasks/cancel"));
    match asked.await {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::from(error).to_protocol_error()),
    }
}

async fn detailed(app: &App, job: &Job) -> Result<DetailedTask, Refusal> {
    let newest = app.queue.newest_event(&job.id)?;
    let updated_at = newest.as_ref().map_or(job.created_at, |event| event.at);
    let payload = match fate(job.state, job.error.as_ref().map(|error| &*error.code)) {
        Fate::InputRequired => TaskPayload::InputRequired {
            input_requests: InputRequests::default(),
        },
        Fate::Working => TaskPayload::Working,
        Fate::Cancelled => TaskPayload::Cancelled,
        Fate::Failed => TaskPayload::Failed {
            error: object(&json!({
                "code": INTERNAL_ERROR,
                "message": job.error.as_ref().map_or("The job failed.", |error| &error.message),
                "data": { "code": job.error.as_ref().map(|error| &error.code) },
            })),
        },
        Fate::Completed => TaskPayload::Completed {
            result: object(&answer(app, &job.id).await?),
        },
    };
    let mut task = Task::new(
        job.id.as_str(),
        payload.status(),
        job.created_at.to_string(),
        updated_at.to_string(),
    )
    .with_poll_interval_ms(POLL_INTERVAL_MS);
    let why = why(app, job).await?;
    if let Some(message) = why.or_else(|| status_message(job, newest.as_ref())) {
        task = task.with_status_message(message);
    }
    // Counted from the end of the job, so that a task lives for longer than it says.
    task = task.with_ttl_ms(kept_ms(app)?);
    Ok(DetailedTask::new(task, payload))
}

/// How long a job is kept, in milliseconds.
fn kept_ms(app: &App) -> Result<u64, Refusal> {
    let seconds = app.setting(Setting::RetentionAge)?;
    Ok(u64::try_from(seconds).unwrap_or_default() * 1_000)
}

/// How a job looks as a task. A tool that failed has completed, with an error as its result; a task that has failed is
/// one that has no result of its tool at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Of others, not of the client: there is nothing that it could be asked.
    InputRequired,
    Working,
    Completed,
    Failed,
    Cancelled,
}

fn fate(state: StateName, error: Option<&str>) -> Fate {
    match state {
        StateName::AwaitingApproval => Fate::InputRequired,
        StateName::Queued | StateName::Running => Fate::Working,
        // Of the last two, the answer is that nobody approved of it.
        StateName::Succeeded | StateName::Denied | StateName::Expired => Fate::Completed,
        StateName::Cancelled => Fate::Cancelled,
        StateName::OutcomeUnknown => Fate::Failed,
        StateName::Failed => match error {
            Some(code::WORKER_LOST | code::INTERNAL) | None => Fate::Failed,
            Some(_) => Fate::Completed,
        },
    }
}

/// Why a queued job waits, unless it is for its turn alone.
async fn why(app: &App, job: &Job) -> Result<Option<String>, Refusal> {
    if !job.state.is_waiting() {
        return Ok(None);
    }
    let waiting = app.queue.waiting(&job.id).await?.unwrap_or_default();
    if waiting.iter().all(Waiting::is_turn) {
        return Ok(None);
    }
    let why = clause(&waiting, app.queue.clock().now());
    Ok(why.map(|why| format!("It waits: {why}.")))
}

/// What the plugin said last, else where the job stands.
fn status_message(job: &Job, newest: Option<&JobEvent>) -> Option<String> {
    if job.state.is_final() {
        return job.error.as_ref().map(|error| error.message.clone());
    }
    let said = newest
        .filter(|event| matches!(event.kind, EventKind::Progress | EventKind::Log))
        .and_then(|event| event.data.get("message")?.as_str().map(ToOwned::to_owned));
    Some(said.unwrap_or_else(|| job.state.as_str().to_owned()))
}

/// The job, if it is the caller's. A stranger's looks like none.
fn find(app: &App, caller: &Caller, id: &str) -> Result<Job, ErrorData> {
    let unknown = || {
        let id: String = id.chars().take(80).collect();
        ErrorData::invalid_params(format!("there is no task {id}"), None)
    };
    let parsed: JobId = id.parse().map_err(|_| unknown())?;
    match app.queue.job(&parsed) {
        Ok(Some(job)) if may_follow(app, caller, &job.agent) => Ok(job),
        Ok(_) => Err(unknown()),
        Err(error) => Err(Refusal::from(error).to_protocol_error()),
    }
}

fn object(value: &impl Serialize) -> JsonObject {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => JsonObject::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_failed_has_completed_and_one_that_was_lost_has_failed() {
        let rows = [
            (StateName::AwaitingApproval, None, Fate::InputRequired),
            (
                StateName::Denied,
                Some(code::APPROVAL_DENIED),
                Fate::Completed,
            ),
            (
                StateName::Expired,
                Some(code::APPROVAL_EXPIRED),
                Fate::Completed,
            ),
            (StateName::Queued, None, Fate::Working),
            (StateName::Running, None, Fate::Working),
            (StateName::Succeeded, None, Fate::Completed),
            (StateName::Failed, Some(code::PLUGIN_ERROR), Fate::Completed),
            (StateName::Failed, Some(code::TIMEOUT), Fate::Completed),
            (StateName::Failed, Some(code::WORKER_LOST), Fate::Failed),
            (StateName::Failed, Some(code::INTERNAL), Fate::Failed),
            (StateName::Failed, None, Fate::Failed),
            (
                StateName::OutcomeUnknown,
                Some(code::OUTCOME_UNKNOWN),
                Fate::Failed,
            ),
            (StateName::Cancelled, Some(code::CANCELLED), Fate::Cancelled),
        ];
        for (state, error, expected) in rows {
            assert_eq!(fate(state, error), expected, "{state:?} {error:?}");
        }
    }
}
