//! `workers__list`, `workers__scale` and `workers__drain`: who runs the jobs.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::queue::{SUPERVISOR, WorkerInfo, WorkerState};
use smcp_common::setting::Setting;

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::policy::may_follow;
use crate::refusal::Refusal;

/// What stands for every worker.
const ALL: &str = "all";

pub(super) fn list() -> Builtin {
    Builtin::new(
        "workers__list",
        "Lists the workers: where each runs, its last sign of life, how its machine confines plugins, and the job that it \
         runs, where that is yours; and how many smcp up shall keep running.",
        Changes::Nothing,
        &json!({}),
        &[],
        |app, caller, _| {
            Box::pin(async move {
                let mut answer = scale(app)?;
                answer["workers"] = json!(shown_to(app, caller)?);
                Ok(answer)
            })
        },
    )
}

pub(super) fn scale_to() -> Builtin {
    Builtin::new(
        "workers__scale",
        "Says how many workers smcp up shall keep running; it starts and ends them within a second. Workers that were started \
         by hand or by systemd are not touched.",
        Changes::Once,
        &json!({
            "count": {
                "type": "integer",
                "minimum": Setting::WorkerCount.least(),
                "maximum": Setting::WorkerCount.most(),
                "description": "How many. With 0 nothing runs.",
            },
        }),
        &["count"],
        |app, caller, arguments| Box::pin(run_scale(app, caller, arguments)),
    )
    .for_operators()
}

pub(super) fn drain() -> Builtin {
    Builtin::new(
        "workers__drain",
        "Lets a worker end after the job that it runs; it begins nothing new. smcp up starts another in the place of its own.",
        Changes::Once,
        &json!({
            "worker": {"type": "string", "description": "The worker's id, or 'all'."},
        }),
        &["worker"],
        |app, caller, arguments| Box::pin(run_drain(app, caller, arguments)),
    )
    .for_operators()
}

#[derive(Deserialize)]
struct Scale {
    count: i64,
}

async fn run_scale(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Scale { count } = read(arguments)?;
    app.queue
        .set_setting(Setting::WorkerCount, Some(count), &caller.agent)
        .await?;
    scale(app)
}

#[derive(Deserialize)]
struct Drain {
    worker: String,
}

async fn run_drain(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Drain { worker } = read(arguments)?;
    let id = (worker != ALL).then_some(&*worker);
    let draining = app.queue.drain_workers(id, &caller.agent).await?;
    if id.is_some() && draining.is_empty() {
        let worker: String = worker.chars().take(80).collect();
        return Err(Refusal::new(
            "no_such_worker",
            format!(
                "There is no worker {worker}; workers__list names those that there are, and 'all' means every one."
            ),
        ));
    }
    Ok(json!({ "draining": draining }))
}

/// The workers, without the jobs that the caller may not follow.
pub(super) fn shown_to(app: &App, caller: &Caller) -> Result<Vec<WorkerInfo>, Refusal> {
    let mut workers = app.queue.workers()?;
    for worker in &mut workers {
        let Some(id) = &worker.job else { continue };
        let job = app.queue.job(id)?;
        if !job.is_some_and(|job| may_follow(app, caller, &job.agent)) {
            (worker.job, worker.tool) = (None, None);
        }
    }
    Ok(workers)
}

/// How many workers are wanted, how many of those that `smcp up` keeps are there, how many others, and whether there is an
/// `smcp up` at all.
fn scale(app: &App) -> Result<Value, Refusal> {
    let mut workers = app.queue.workers()?;
    workers.retain(|worker| matches!(worker.state, WorkerState::Idle | WorkerState::Running));
    let managed = workers.iter().filter(|worker| worker.managed).count();
    Ok(json!({
        "wanted": app.setting(Setting::WorkerCount)?,
        "running": managed,
        "others": workers.len() - managed,
        "supervised": app.queue.is_on_duty(SUPERVISOR)?,
    }))
}
