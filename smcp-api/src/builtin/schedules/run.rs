//! What the tools do.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::job::{Failure, code};
use smcp_common::plugin::Tool;
use smcp_common::policy::{Grant, Session, Via};
use smcp_common::queue::NoJob;
use smcp_common::schedule::{Cron, Schedule, Target};

use super::find::{find, no_such_schedule};
use super::given::{Given, refuse, unfit};
use super::{UPCOMING, show};
use crate::app::App;
use crate::builtin::{self, read};
use crate::caller::Caller;
use crate::denial;
use crate::policy::{decide, is_operator, may_follow};
use crate::refusal::Refusal;
use crate::submit::missing;
use crate::workflow::prepare;

pub(super) async fn create(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let given: Given = read(arguments)?;
    let (name, spec) = given.check(app, caller, None).await?;
    let id = Schedule::random_id();
    app.queue
        .create_schedule(&id, &caller.agent, &name, spec)
        .await?;
    tracing::info!(schedule.name = name, schedule.id = id, "schedule created");
    shown(app, &id)
}

pub(super) fn preview(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let Preview { cron, tz } = read(arguments)?;
    let now = app.queue.clock().now();
    let cron = Cron::parse(&cron, &tz, now).map_err(|error| refuse(&error))?;
    let upcoming = cron.upcoming(now, UPCOMING).into_iter();
    let upcoming: Vec<_> = upcoming.map(|at| cron.local(at)).collect();
    Ok(json!({"reading": cron.reading(), "upcoming": upcoming}))
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

#[derive(Deserialize)]
struct Preview {
    cron: String,
    #[serde(default = "utc")]
    tz: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

#[derive(Deserialize)]
struct List {
    agent: Option<String>,
    #[serde(default = "default_limit")]
    limit: u32,
}

const fn default_limit() -> u32 {
    1_000
}

pub(super) async fn list(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let List { agent, limit } = read(arguments)?;
    let agent = match agent {
        Some(agent) if !may_follow(app, caller, &agent) => return Ok(json!({"schedules": []})),
        None if !is_operator(app, caller) => Some(caller.agent.clone()),
        agent => agent,
    };
    let schedules = app.queue.schedules(agent, None, limit).await?;
    let schedules: Vec<_> = schedules.iter().map(show::one).collect();
    Ok(json!({ "schedules": schedules }))
}

pub(super) async fn update(
    app: &App,
    caller: &Caller,
    mut arguments: Value,
) -> Result<Value, Refusal> {
    let id = arguments["id"].take();
    let before = found(app, caller, json!({ "id": id })).await?;
    let given: Given = read(arguments)?;
    let owner = owner(caller, &before);
    let (name, spec) = given.check(app, &owner, Some(&before)).await?;
    app.queue
        .update_schedule(&before.id, &name, spec, &caller.agent)
        .await?;
    shown(app, &before.id)
}

pub(super) async fn trigger(
    app: &App,
    caller: &Caller,
    arguments: Value,
) -> Result<Value, Refusal> {
    let schedule = found(app, caller, arguments).await?;
    let owner = owner(caller, &schedule);
    let now = app.queue.clock().now();
    // What was right when the schedule was made may not be so any more.
    let runnable = match &schedule.spec.target {
        Target::Tool { tool, arguments } => {
            let (tool, grant) = runnable(app, &owner, tool, arguments, now).await?;
            let tools = app.tools.current(&app.queue)?;
            let binding = app.queue.binding(&grant, tools.digest(&tool.plugin));
            Some((tool, grant, binding))
        }
        Target::Workflow { workflow, .. } => {
            prepare(app, &owner, (**workflow).clone(), now).await?;
            None
        }
    };
    let run = schedule
        .run(
            |_| runnable.as_ref().map(|(tool, ..)| tool),
            |tool, _| {
                let gone = || {
                    let message = format!("There is no tool '{}' any more.", tool.name);
                    NoJob::from(Failure::new(code::PLUGIN_NOT_FOUND, message))
                };
                let (_, grant, binding) = runnable.as_ref().ok_or_else(gone)?;
                Ok((grant.clone(), binding.clone()))
            },
            app.default_timeout,
        )
        .map_err(|none| Refusal::new("not_allowed", none.failure.message))?;
    let (job, workflow) = (run.job().cloned(), run.workflow().cloned());
    app.queue
        .trigger_schedule(&schedule.id, run, &caller.agent)
        .await?;
    tracing::info!(schedule.name, "schedule triggered");
    Ok(json!({"job": job, "workflow": workflow, "schedule": schedule.id, "name": schedule.name}))
}

/// The tool, if it is there, takes these arguments, and the owner may call it so `at` that time; with what the rules ask for.
pub(super) async fn runnable(
    app: &App,
    owner: &Caller,
    name: &str,
    arguments: &Map<String, Value>,
    at: Timestamp,
) -> Result<(Tool, Grant), Refusal> {
    if builtin::find(name).is_some() {
        return Err(unfit(
            "tool",
            &format!(
                "{name} is a built-in tool, which answers at once; only tools of plugins can be scheduled"
            ),
        ));
    }
    let tools = app.tools.current(&app.queue)?;
    let Some(tool) = tools.find(name) else {
        return Err(missing(app, &tools, name)?);
    };
    let arguments = tool.arguments(arguments.clone())?;
    let session = Session::unattended(Via::Schedule, at);
    match decide(app, owner, tool, &arguments, &session) {
        Ok(grant) => Ok((tool.tool.clone(), grant)),
        Err(denied) => {
            let told = denial::record(app, owner, Via::Schedule, &tool.tool, arguments, denied);
            Err(told.await?)
        }
    }
}

/// The caller as the schedule's owner, as whom it runs whoever touches it.
fn owner(caller: &Caller, schedule: &Schedule) -> Caller {
    Caller {
        agent: schedule.agent.clone(),
        ..caller.clone()
    }
}

pub(super) async fn found(
    app: &App,
    caller: &Caller,
    arguments: Value,
) -> Result<Schedule, Refusal> {
    find(app, caller, &read::<Reference>(arguments)?.id).await
}

/// The schedule as it is now.
pub(super) fn shown(app: &App, id: &str) -> Result<Value, Refusal> {
    match app.queue.schedule(id)? {
        Some(schedule) => Ok(show::with_upcoming(&schedule)),
        None => Err(no_such_schedule(id)),
    }
}
