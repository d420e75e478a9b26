//! `jobs__retry` and `jobs__requeue_dead`: jobs that have ended without success are run again, one or many.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::job::{Job, JobId, StateName};
use smcp_common::policy::Via;

use super::jobs::find;
use super::selection::{Skip, Which, consent, merged, parameters};
use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::denial;
use crate::policy::{decide, session};
use crate::refusal::Refusal;

const REQUEUE_DEAD: &str = "jobs__requeue_dead";

pub(super) fn retry() -> Builtin {
    Builtin::new(
        "jobs__retry",
        "Runs a job again that has failed, was cancelled or whose outcome is unknown: the same job, as a new attempt.",
        Changes::Each,
        &json!({
            "id": {"type": "string", "description": "The job's id."},
            "ids": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 100,
                    "description": "Several jobs, in the place of id; those that cannot be run again are skipped and told."},
        }),
        &[],
        |app, caller, arguments| Box::pin(run_retry(app, caller, arguments)),
    )
}

pub(super) fn requeue_dead() -> Builtin {
    let own = json!({
        "state": {"type": "string", "enum": [StateName::Failed, StateName::OutcomeUnknown], "default": "failed",
                  "description": "Jobs whose outcome is unknown may have done their work: they are run again only where they are named."},
        "error_code": {"type": "string", "description": "Only jobs that failed with this code, such as timeout."},
        "newer_than_s": {"type": "integer", "minimum": 0, "description": "Only jobs that have ended at most so many seconds ago."},
    });
    Builtin::new(
        REQUEUE_DEAD,
        "Runs failed jobs again by tool, lane, plugin, age and error. Each by itself: one that cannot be is skipped and told. \
         Needs confirm; dry_run tells what would be done.",
        Changes::Each,
        &merged([own, parameters(), consent()]),
        &[],
        |app, caller, arguments| Box::pin(run_requeue_dead(app, caller, arguments)),
    )
    .for_operators()
}

#[derive(Deserialize)]
struct Retry {
    id: Option<String>,
    ids: Option<Vec<String>>,
}

async fn run_retry(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    match read(arguments)? {
        Retry {
            id: Some(id),
            ids: None,
        } => {
            let job = find(app, caller, &id)?;
            match again(app, caller, &job).await? {
                Ok(()) => Ok(json!({"id": job.id, "state": StateName::Queued})),
                Err(skip) => Err(skip.refuse(&job.id, "run again")),
            }
        }
        Retry {
            id: None,
            ids: Some(ids),
        } => {
            let (mut retried, mut skipped) = (Vec::new(), Vec::new());
            for id in ids {
                let refused = match find(app, caller, &id) {
                    Ok(job) => match again(app, caller, &job).await? {
                        Ok(()) => {
                            retried.push(id);
                            continue;
                        }
                        Err(skip) => skip.told(&job.id),
                    },
                    Err(refusal) => {
                        json!({"id": id, "code": refusal.code, "reason": refusal.message.trim_end_matches('.')})
                    }
                };
                skipped.push(refused);
            }
            Ok(json!({"retried": retried, "skipped": skipped}))
        }
        Retry { .. } => Err(Refusal::invalid_arguments(
            "Say which job, by 'id', or which jobs, by 'ids'.",
        )),
    }
}

/// Runs one job again, if its caller may still call its tool.
async fn again(app: &App, caller: &Caller, job: &Job) -> Result<Result<(), Skip>, Refusal> {
    let tools = app.tools.current(&app.queue)?;
    let Some(tool) = tools.find(&job.tool) else {
        return Ok(Err(Skip::tool_removed(&job.tool)));
    };
    let arguments = job.arguments.as_object().cloned().unwrap_or_default();
    let session = session(app, caller);
    if let Err(denied) = decide(app, caller, tool, &arguments, &session) {
        let told = denial::record(app, caller, Via::Call, &tool.tool, arguments, denied);
        return Err(told.await?);
    }
    let ids = std::slice::from_ref(&job.id);
    let each = app.queue.revive(ids, &caller.agent, None).await?;
    Ok(each
        .into_iter()
        .try_for_each(|(_, became)| became.map_err(Skip::from)))
}

#[derive(Deserialize)]
struct RequeueDead {
    #[serde(default = "failed")]
    state: StateName,
    #[serde(flatten)]
    which: Which,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    confirm: bool,
}

const fn failed() -> StateName {
    StateName::Failed
}

async fn run_requeue_dead(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let RequeueDead {
        state,
        which,
        dry_run,
        confirm,
    } = read(arguments)?;
    let found = which.find(app, state).await?;
    if dry_run {
        let mut plan = found.plan();
        (plan["dry_run"], plan["would"]) = (true.into(), "requeue".into());
        return Ok(plan);
    }
    if !confirm {
        return Err(found.unconfirmed(REQUEUE_DEAD, "requeue", state.as_str()));
    }
    let tools = app.tools.current(&app.queue)?;
    let (mut jobs, mut skipped) = (Vec::<JobId>::new(), Vec::new());
    for job in &found.jobs {
        if tools.find(&job.tool).is_some() {
            jobs.push(job.id.clone());
        } else {
            skipped.push((job.id.clone(), Skip::tool_removed(&job.tool)));
        }
    }
    let each = app.queue.revive(&jobs, &caller.agent, Some(state)).await?;
    Ok(found.outcome("requeued", each, skipped))
}
