//! `queues__list`, `queues__pause` and `queues__resume`: how the queue stands, and what no worker takes jobs from.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::job::{Pause, Scope};
use smcp_common::queue::{LaneState, Load};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::policy::may_follow;
use crate::refusal::Refusal;

/// Lanes that are listed; there may be one for every argument that a tool was ever called with.
const LANES: usize = 1_000;

pub(super) fn list() -> Builtin {
    Builtin::new(
        "queues__list",
        "Tells how the queue stands, lane by lane: what waits and since when, what runs, and what is paused by whom and why.",
        Changes::Nothing,
        &json!({}),
        &[],
        |app, caller, _| Box::pin(run_list(app, caller)),
    )
}

pub(super) fn pause() -> Builtin {
    Builtin::new(
        "queues__pause",
        "Keeps workers from taking jobs: all, those of a lane or those of a plugin, until queues__resume. Running jobs are not touched.",
        Changes::Once,
        &json!({
            "all": {"type": "boolean", "description": "Everything."},
            "lane": {"type": "string", "minLength": 1, "maxLength": 200, "description": "The jobs of this lane."},
            "plugin": {"type": "string", "minLength": 1, "maxLength": 64, "description": "The jobs of this plugin."},
            "reason": {"type": "string", "minLength": 1, "maxLength": 500, "description": "Why; whoever waits is told."},
        }),
        &[],
        |app, caller, arguments| Box::pin(run_pause(app, caller, arguments)),
    )
    .for_operators()
}

pub(super) fn resume() -> Builtin {
    Builtin::new(
        "queues__resume",
        "Ends a pause, of exactly what was paused: all, a lane or a plugin.",
        Changes::Once,
        &json!({
            "all": {"type": "boolean", "description": "The pause of everything; those of lanes and plugins stay."},
            "lane": {"type": "string", "minLength": 1, "maxLength": 200, "description": "The pause of this lane."},
            "plugin": {"type": "string", "minLength": 1, "maxLength": 64, "description": "The pause of this plugin."},
        }),
        &[],
        |app, caller, arguments| Box::pin(run_resume(app, caller, arguments)),
    )
    .for_operators()
}

#[derive(Deserialize)]
struct What {
    #[serde(default)]
    all: bool,
    lane: Option<String>,
    plugin: Option<String>,
    reason: Option<String>,
}

impl What {
    fn scope(&self) -> Result<Scope, Refusal> {
        match (self.all, &self.lane, &self.plugin) {
            (true, None, None) => Ok(Scope::All),
            (false, Some(lane), None) => Ok(Scope::Lane(lane.clone())),
            (false, None, Some(plugin)) => Ok(Scope::Plugin(plugin.clone())),
            (_, _, _) => Err(Refusal::invalid_arguments(
                "Say what is meant by exactly one of 'all' (true), 'lane' and 'plugin'.",
            )),
        }
    }
}

async fn run_list(app: &App, caller: &Caller) -> Result<Value, Refusal> {
    let queues = app.queue.queues().await?;
    let left_out = queues.lanes.len().saturating_sub(LANES);
    let lanes: Vec<_> = queues
        .lanes
        .iter()
        .take(LANES)
        .map(|state| told(app, caller, state))
        .collect();
    let now = app.queue.clock().now();
    let pauses: Vec<_> = queues
        .pauses
        .iter()
        .map(|pause| {
            let mut told = json!(pause);
            told["load"] = json!(queues.load(&pause.scope));
            told["message"] = format!("{}.", pause.clause(now)).into();
            told
        })
        .collect();
    Ok(json!({"queues": lanes, "left_out": left_out, "pauses": pauses}))
}

/// A lane, with those of its running jobs that the caller may follow.
fn told(app: &App, caller: &Caller, state: &LaneState) -> Value {
    let jobs: Vec<_> = state
        .running
        .iter()
        .filter(|job| may_follow(app, caller, &job.agent))
        .collect();
    json!({
        "lane": state.lane,
        "queued": state.queued,
        "scheduled": state.scheduled,
        "running": state.running.len(),
        "jobs": jobs,
        "oldest_due": state.oldest_due,
        "paused": state.paused,
    })
}

async fn run_pause(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let what: What = read(arguments)?;
    let scope = what.scope()?;
    let load = app.queue.queues().await?.load(&scope);
    if let Scope::Plugin(plugin) = &scope {
        check_plugin(app, plugin, load)?;
    }
    let changed = app
        .queue
        .pause(scope.clone(), &caller.agent, what.reason.as_deref())
        .await?;
    let stands = app.queue.pauses()?;
    let stands = stands.into_iter().find(|pause| pause.scope == scope);
    Ok(answer(&scope, stands.as_ref(), changed, load))
}

async fn run_resume(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let scope = read::<What>(arguments)?.scope()?;
    let changed = app.queue.resume(scope.clone(), &caller.agent).await?;
    let load = app.queue.queues().await?.load(&scope);
    Ok(answer(&scope, None, changed, load))
}

fn answer(scope: &Scope, pause: Option<&Pause>, changed: bool, load: Load) -> Value {
    let mut answer = pause.map_or_else(|| json!(scope), |pause| json!(pause));
    answer["paused"] = pause.is_some().into();
    answer["changed"] = changed.into();
    answer["load"] = json!(load);
    answer
}

/// A plugin that nobody knows is a slip of the pen. Lanes come and go with arguments, so that any may be meant.
fn check_plugin(app: &App, plugin: &str, load: Load) -> Result<(), Refusal> {
    let known: Vec<_> = app.queue.catalogue()?.plugins;
    if load != Load::default() || known.iter().any(|known| known.name == plugin) {
        return Ok(());
    }
    let mut names: Vec<_> = known.iter().map(|known| known.name.as_str()).collect();
    names.sort_unstable();
    if names.is_empty() {
        names.push("none");
    }
    Err(Refusal::new(
        "unknown_plugin",
        format!(
            "There is no plugin '{plugin}', and no job of one; there are: {}.",
            names.join(", ")
        ),
    ))
}
