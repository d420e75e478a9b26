//! `workflows__submit`, `workflows__list`, `workflows__get` and `workflows__cancel`: an agent follows its own workflows, an
//! operator all.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::queue::{NewWorkflow, StepRecord, Workflow, WorkflowFilter, WorkflowSubmitted};
use smcp_common::workflow::{Graph, MAX_STEPS, WorkflowId, WorkflowState, read as read_definition};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::policy::{is_operator, may_follow};
use crate::refusal::Refusal;
use crate::workflow::{invalid, prepare};

/// All of them.
pub(super) fn all() -> [Builtin; 4] {
    [submit(), list(), get(), cancel()]
}

fn submit() -> Builtin {
    Builtin::new(
        "workflows__submit",
        "Records a workflow, steps that wait for each other, and answers at once with its id. Each step is a job; its arguments may \
         refer to what others printed, as in ${steps.build.result.version}. workflows__get follows it.",
        Changes::Each,
        &json!({
            "name": {"type": "string", "maxLength": 100, "description": "What people call it."},
            "steps": {"type": "array", "minItems": 1, "maxItems": MAX_STEPS, "description": "The steps, in any order.", "items": step_schema()},
            "idempotency_key": {"type": "string", "minLength": 1, "maxLength": 255,
                "description": "The same key with the same steps gives the same workflow, however often it is submitted."},
        }),
        &["steps"],
        |app, caller, arguments| Box::pin(run_submit(app, caller, arguments)),
    )
}

fn step_schema() -> Value {
    let arguments = json!({"type": "object", "description": "The tool's arguments. In strings, ${steps.ID.result} is what that step \
        printed, with .key or [n] a part of it; there are also .state, .job and, for a step that is run at another one's failure, \
        .error.code and .error.message. $${ is a literal ${."});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "tool"],
        "properties": {
            "id": {"type": "string", "description": "Its name: a–z, 0–9, - and _."},
            "tool": {"type": "string", "description": "The tool to run, as tools/list names it."},
            "arguments": arguments,
            "needs": {"type": "array", "items": {"type": "string"},
                      "description": "Steps that must have ended before. Those that it refers to are added."},
            "on_failure": {"type": "string", "default": "stop",
                "description": "stop: nothing new begins; continue: the steps that need it begin all the same; run:ID: that step begins, \
                                and nothing else."},
            "verify": {
                "type": "object",
                "description": "Checks after the step's job has succeeded: the first at once, the others one after the other. The step has \
                                succeeded when enough of them have.",
                "additionalProperties": false,
                "required": ["tool", "every", "need", "of", "deadline"],
                "properties": {
                    "tool": {"type": "string", "description": "The tool of each check; it succeeds where the tool does."},
                    "arguments": arguments,
                    "every": {"type": "number", "description": "Seconds from the beginning of a check to the next one's."},
                    "need": {"type": "integer", "description": "So many must succeed …"},
                    "of": {"type": "integer", "description": "… of so many at the most."},
                    "deadline": {"type": "number", "description": "Seconds after the end of the step's job within which they must."},
                },
            },
        },
    })
}

fn list() -> Builtin {
    Builtin::new(
        "workflows__list",
        "Lists workflows, newest first. Agents see their own, operators all.",
        Changes::Nothing,
        &json!({
            "state": {"type": "string", "enum": WorkflowState::ALL, "description": "Only workflows in this state."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50, "description": "At most so many."},
        }),
        &[],
        |app, caller, arguments| Box::pin(run_list(app, caller, arguments)),
    )
}

fn get() -> Builtin {
    Builtin::new(
        "workflows__get",
        "Shows one workflow: where it stands, and of each step its state, its job with its attempts, its checks and why it failed.",
        Changes::Nothing,
        &json!({
            "id": {"type": "string", "description": "The workflow's id."},
            "after": {"type": "integer", "description": "Answer when its revision is another than this, or when it has ended."},
            "wait_s": {"type": "number", "minimum": 0, "maximum": 300, "default": 0,
                       "description": "Seconds to wait for that at most."},
        }),
        &["id"],
        |app, caller, arguments| Box::pin(run_get(app, caller, arguments)),
    )
}

fn cancel() -> Builtin {
    Builtin::new(
        "workflows__cancel",
        "Stops a workflow: its running jobs are cancelled, and what has not begun never will.",
        Changes::Once,
        &json!({
            "id": {"type": "string", "description": "The workflow's id."},
            "reason": {"type": "string", "maxLength": 500, "description": "Why, for the record."},
        }),
        &["id"],
        |app, caller, arguments| Box::pin(run_cancel(app, caller, arguments)),
    )
}

async fn run_submit(app: &App, caller: &Caller, mut arguments: Value) -> Result<Value, Refusal> {
    let key = arguments
        .as_object_mut()
        .and_then(|arguments| arguments.shift_remove("idempotency_key"));
    let definition = read_definition(&arguments).map_err(|problems| invalid(&problems))?;
    let prepared = prepare(app, caller, definition, app.queue.clock().now()).await?;
    let new = NewWorkflow {
        id: WorkflowId::random(),
        agent: caller.agent.clone(),
        definition: prepared.definition,
        rules: prepared.rules,
        schedule: None,
        idempotency_key: key.as_ref().and_then(Value::as_str).map(ToOwned::to_owned),
    };
    let (id, existing) = match app.queue.submit_workflow(new).await? {
        WorkflowSubmitted::New(id) => (id, false),
        WorkflowSubmitted::Existing(id) => (id, true),
        WorkflowSubmitted::Conflict(id) => {
            let message = format!(
                "The idempotency key was used for workflow {id}, which has another definition."
            );
            let details = Some(json!({ "workflow": id }));
            return Err(Refusal {
                code: "idempotency_conflict",
                message,
                details,
            });
        }
    };
    tracing::info!(workflow.id = %id, existing, "workflow recorded");
    let state = app.queue.workflow(&id)?.map(|workflow| workflow.state);
    Ok(json!({"id": id, "state": state, "existing": existing}))
}

#[derive(Deserialize)]
struct List {
    state: Option<WorkflowState>,
    #[serde(default = "default_limit")]
    limit: u32,
}

const fn default_limit() -> u32 {
    50
}

async fn run_list(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let List { state, limit } = read(arguments)?;
    let filter = WorkflowFilter {
        state,
        agent: (!is_operator(app, caller)).then(|| caller.agent.clone()),
        limit,
    };
    let workflows = app.queue.workflows(filter).await?;
    Ok(json!({ "workflows": workflows }))
}

#[derive(Deserialize)]
struct Get {
    id: String,
    after: Option<i64>,
    #[serde(default)]
    wait_s: f64,
}

async fn run_get(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Get { id, after, wait_s } = read(arguments)?;
    let mut news = app.queue.news();
    let id = find(app, caller, &id)?.id;
    let changed = async {
        loop {
            news.mark_unchanged();
            let stands = app.queue.workflow_revision(&id)?;
            let is_same = |(state, revision): (WorkflowState, i64)| {
                state == WorkflowState::Running && after == Some(revision)
            };
            if !stands.is_some_and(is_same) {
                return Ok::<_, Refusal>(());
            }
            // The sender lives as long as the queue.
            drop(news.changed().await);
        }
    };
    let timeout = Duration::try_from_secs_f64(wait_s).unwrap_or_default();
    tokio::select! {
        changed = changed => changed?,
        () = tokio::time::sleep(timeout) => {}
        // Rather an answer that says "not yet" than none.
        () = app.drain.cancelled() => {}
    }
    show(app, &find(app, caller, id.as_str())?)
}

#[derive(Deserialize)]
struct Cancel {
    id: String,
    reason: Option<String>,
}

async fn run_cancel(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Cancel { id, reason } = read(arguments)?;
    let workflow = find(app, caller, &id)?;
    let state = app
        .queue
        .cancel_workflow(&workflow.id, &caller.agent, reason.as_deref())
        .await?;
    Ok(json!({"id": workflow.id, "state": state}))
}

/// The workflow, if there is one that the caller may follow. To others it does not exist.
fn find(app: &App, caller: &Caller, id: &str) -> Result<Workflow, Refusal> {
    let parsed: WorkflowId = id
        .parse()
        .map_err(|error| Refusal::invalid_arguments(format!("{error}.")))?;
    match app.queue.workflow(&parsed)? {
        Some(workflow) if may_follow(app, caller, &workflow.agent) => Ok(workflow),
        Some(_) | None => Err(Refusal::new(
            "no_such_workflow",
            format!("There is no workflow {id}."),
        )),
    }
}

/// The workflow with its steps.
fn show(app: &App, workflow: &Workflow) -> Result<Value, Refusal> {
    let graph = Graph::of(&workflow.definition);
    let steps = workflow.steps.iter().enumerate();
    let steps: Vec<_> = steps
        .map(|(n, step)| show_step(app, workflow, &graph, n, step))
        .collect::<Result<_, _>>()?;
    let mut shown = json!(workflow);
    shown["steps"] = steps.into();
    Ok(shown)
}

fn show_step(
    app: &App,
    workflow: &Workflow,
    graph: &Graph,
    n: usize,
    record: &StepRecord,
) -> Result<Value, Refusal> {
    let names = |places: &[usize]| -> Vec<&str> {
        let steps = &workflow.definition.steps;
        places.iter().map(|n| steps[*n].id.as_str()).collect()
    };
    let job = match &record.job {
        Some(job) => app.queue.job(job)?,
        None => None,
    };
    let step = &workflow.definition.steps[n];
    Ok(json!({
        "id": step.id,
        "tool": step.tool,
        "state": record.state,
        "needs": names(graph.needs(n)),
        "runs_at_failure_of": names(graph.handles(n)),
        "on_failure": step.on_failure,
        "arguments": step.arguments,
        "job": record.job,
        "job_state": record.job_state,
        "attempts": job.map(|job| job.attempts).unwrap_or_default(),
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "verify": step.verify,
        "checks": record.checks,
        "error": record.error,
    }))
}
