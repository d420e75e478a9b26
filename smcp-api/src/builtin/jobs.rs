//! `jobs__list`, `jobs__get`, `jobs__wait` and `jobs__cancel`: an agent follows its own jobs, an operator all.

use std::time::Duration;

use rmcp::model::CallToolResult;
use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::job::{Job, JobId, StateName};
use smcp_common::queue::Filter;

use super::{Builtin, Changes, read};
use crate::answer::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::policy::{is_operator, may_follow};
use crate::refusal::Refusal;
use crate::waiting;

/// Characters of an answer's text that a job's record shows; `jobs__output` reads all of it.
const RESULT_CHARS: usize = 64 * 1024;

pub(super) fn list() -> Builtin {
    Builtin::new(
        "jobs__list",
        "Lists jobs, newest first. Agents see their own, operators all.",
        Changes::Nothing,
        &json!({
            "state": {"type": "string", "enum": StateName::ALL, "description": "Only jobs in this state."},
            "tool": {"type": "string", "description": "Only jobs of this tool."},
            "lane": {"type": "string", "description": "Only jobs in this lane."},
            "agent": {"type": "string", "description": "Only jobs of this agent."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50, "description": "At most so many."},
        }),
        &[],
        |app, caller, arguments| Box::pin(run_list(app, caller, arguments)),
    )
}

pub(super) fn get() -> Builtin {
    Builtin::new(
        "jobs__get",
        "Shows one job: where it stands and why it waits, its arguments, its attempts and, once it has ended, its result.",
        Changes::Nothing,
        &json!({"id": {"type": "string", "description": "The job's id."}}),
        &["id"],
        |app, caller, arguments| {
            Box::pin(async move {
                let job = find(app, caller, &read::<Id>(arguments)?.id)?;
                show(app, job).await
            })
        },
    )
}

pub(super) fn wait() -> Builtin {
    Builtin::new(
        "jobs__wait",
        "Waits until a job has ended, or the time is over; shows the job, with done telling which.",
        Changes::Nothing,
        &json!({
            "id": {"type": "string", "description": "The job's id."},
            "timeout_s": {"type": "number", "minimum": 0, "maximum": 300, "default": 30,
                          "description": "Seconds to wait at most."},
        }),
        &["id"],
        |app, caller, arguments| Box::pin(run_wait(app, caller, arguments)),
    )
}

pub(super) fn cancel() -> Builtin {
    Builtin::new(
        "jobs__cancel",
        "Stops a job. A waiting job ends at once; of a running one the whole process tree is stopped.",
        Changes::Once,
        &json!({
            "id": {"type": "string", "description": "The job's id."},
            "reason": {"type": "string", "maxLength": 500, "description": "Why, for the record."},
        }),
        &["id"],
        |app, caller, arguments| Box::pin(run_cancel(app, caller, arguments)),
    )
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct List {
    state: Option<StateName>,
    tool: Option<String>,
    lane: Option<String>,
    agent: Option<String>,
    #[serde(default = "default_limit")]
    limit: u32,
}

const fn default_limit() -> u32 {
    50
}

async fn run_list(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let List {
        state,
        tool,
        lane,
        agent,
        limit,
    } = read(arguments)?;
    let own = || Some(caller.agent.clone());
    let agent = match agent {
        Some(agent) if !may_follow(caller, &agent) => return Ok(json!({"jobs": []})),
        Some(agent) => Some(agent),
        None => {
            if is_operator(caller) {
                None
            } else {
                own()
            }
        }
    };
    let tools = app.tools.current(&app.queue)?;
    let jobs = app
        .queue
        .jobs(Filter {
            state,
            tool: tool.map(|name| tools.own_name(name)),
            lane,
            agent,
            limit,
        })
        .await?;
    let mut answer = json!({ "jobs": jobs });
    let pauses = app.queue.pauses()?;
    if !pauses.is_empty() {
        answer["pauses"] = json!(pauses);
    }
    Ok(answer)
}

#[derive(Deserialize)]
struct Wait {
    id: String,
    #[serde(default = "default_wait_s")]
    timeout_s: f64,
}

const fn default_wait_s() -> f64 {
    30.0
}

async fn run_wait(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Wait { id, timeout_s } = read(arguments)?;
    let id = find(app, caller, &id)?.id;
    let ended = async {
        let subscription = app.watch.subscribe(&id);
        loop {
            let job = find(app, caller, id.as_str())?;
            if job.state.is_final() {
                return Ok::<Job, Refusal>(job);
            }
            subscription.news().await;
        }
    };
    let ended = async {
        tokio::select! {
            job = ended => job,
            // Rather an answer that says "not yet" than none.
            () = app.drain.cancelled() => find(app, caller, id.as_str()),
        }
    };
    let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or_default();
    let job = match tokio::time::timeout(timeout, ended).await {
        Ok(job) => job?,
        Err(_) => find(app, caller, id.as_str())?,
    };
    let done = job.state.is_final();
    let mut shown = show(app, job).await?;
    shown["done"] = done.into();
    Ok(shown)
}

#[derive(Deserialize)]
struct Cancel {
    id: String,
    reason: Option<String>,
}

async fn run_cancel(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Cancel { id, reason } = read(arguments)?;
    let job = find(app, caller, &id)?;
    let state = app
        .queue
        .cancel(&job.id, &caller.agent, reason.as_deref())
        .await?;
    Ok(json!({"id": job.id, "state": state}))
}

/// The job, if there is one that the caller may follow. To others it does not exist.
pub(crate) fn find(app: &App, caller: &Caller, id: &str) -> Result<Job, Refusal> {
    let parsed: JobId = id
        .parse()
        .map_err(|error| Refusal::invalid_arguments(format!("{error}.")))?;
    match app.queue.job(&parsed)? {
        Some(job) if may_follow(caller, &job.agent) => Ok(job),
        Some(_) | None => Err(Refusal::no_such_job(id)),
    }
}

/// The job with its result.
async fn show(app: &App, job: Job) -> Result<Value, Refusal> {
    let result = answer(app, &job.id).await?.as_ref().map(result);
    let mut shown = json!(job);
    shown["result"] = result.into();
    if let Some(warning) = job.warning() {
        shown["warning"] = json!(warning);
    }
    if job.state.is_waiting() {
        shown["waiting"] = waiting::reasons(app, &job.id).await?.into();
    }
    Ok(shown)
}

fn result(answer: &CallToolResult) -> Value {
    let text = answer
        .content
        .iter()
        .filter_map(|block| block.as_text())
        .map(|block| block.text.as_str());
    let text: String = text
        .collect::<Vec<_>>()
        .join("\n")
        .chars()
        .take(RESULT_CHARS)
        .collect();
    json!({
        "is_error": answer.is_error == Some(true),
        "text": text,
        "structured": &answer.structured_content,
    })
}
