//! `schedules__*`: an agent keeps its own schedules, an operator everybody's.

mod find;
mod given;
mod show;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::plugin::Tool;
use smcp_common::schedule::{CatchUp, Cron, MAX_CRON_CHARS, Overlap, Schedule, Target};

use self::find::find;
use self::given::{Given, unfit};
use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::policy::{decide, is_operator, may_follow};
use crate::refusal::Refusal;
use crate::retry_policy;
use crate::submit::missing;

/// Fire times that are shown.
const UPCOMING: usize = 5;

/// The tools.
pub(super) fn all() -> Vec<Builtin> {
    vec![
        create(),
        list(),
        get(),
        update(),
        pause(),
        resume(),
        delete(),
        trigger(),
        preview(),
    ]
}

fn create() -> Builtin {
    let mut properties = properties();
    properties["tz"]["default"] = json!("UTC");
    properties["overlap"]["default"] = json!(Overlap::default());
    properties["catch_up"]["default"] = json!(CatchUp::default());
    Builtin::new(
        "schedules__create",
        "Runs a tool at the times that a cron expression names in a time zone: each time becomes one job of yours. Answers with \
         the next times and a plain-English reading; schedules__preview shows these without creating anything.",
        Changes::Each,
        &properties,
        &["name", "cron", "tool"],
        |app, caller, arguments| {
            Box::pin(async move {
                let given: Given = read(arguments)?;
                let (name, spec) = given.check(app, caller, None).await?;
                let id = Schedule::random_id();
                app.queue
                    .create_schedule(&id, &caller.agent, &name, spec)
                    .await?;
                tracing::info!(schedule.name = name, schedule.id = id, "schedule created");
                shown(app, &id)
            })
        },
    )
}

fn list() -> Builtin {
    Builtin::new(
        "schedules__list",
        "Lists schedules by owner and name. Agents see their own, operators all.",
        Changes::Nothing,
        &json!({
            "agent": {"type": "string", "description": "Only schedules of this agent."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1_000, "description": "At most so many."},
        }),
        &[],
        |app, caller, arguments| Box::pin(run_list(app, caller, arguments)),
    )
}

fn get() -> Builtin {
    Builtin::new(
        "schedules__get",
        "Shows a schedule: what it runs and when, in words, too, its next five times, and what became of the last 20.",
        Changes::Nothing,
        &reference(),
        &["id"],
        |app, caller, arguments| {
            Box::pin(async move {
                let schedule = found(app, caller, arguments).await?;
                show::all(app, &schedule)
            })
        },
    )
}

fn update() -> Builtin {
    let mut properties = properties();
    properties["id"] = reference()["id"].take();
    properties["name"]["description"] = json!("A new name.");
    properties["clear"] = json!({
        "type": "array", "uniqueItems": true, "items": {"type": "string", "enum": given::CLEARABLE},
        "description": "What the schedule shall have no more.",
    });
    Builtin::new(
        "schedules__update",
        "Changes a schedule; what is not given stays as it is, and so does what has been run.",
        Changes::Once,
        &properties,
        &["id"],
        |app, caller, arguments| Box::pin(run_update(app, caller, arguments)),
    )
}

fn pause() -> Builtin {
    Builtin::new(
        "schedules__pause",
        "Keeps a schedule from running until it is resumed. The times in between are left out; a run that has begun goes on.",
        Changes::Once,
        &reference(),
        &["id"],
        |app, caller, arguments| {
            Box::pin(async move {
                let schedule = found(app, caller, arguments).await?;
                app.queue
                    .pause_schedule(&schedule.id, &caller.agent)
                    .await?;
                shown(app, &schedule.id)
            })
        },
    )
}

fn resume() -> Builtin {
    Builtin::new(
        "schedules__resume",
        "Lets a paused schedule run again, from its next time on.",
        Changes::Once,
        &reference(),
        &["id"],
        |app, caller, arguments| {
            Box::pin(async move {
                let schedule = found(app, caller, arguments).await?;
                app.queue
                    .resume_schedule(&schedule.id, &caller.agent)
                    .await?;
                shown(app, &schedule.id)
            })
        },
    )
}

fn delete() -> Builtin {
    Builtin::new(
        "schedules__delete",
        "Deletes a schedule. Its jobs stay, and a run that has begun goes on.",
        Changes::Each,
        &reference(),
        &["id"],
        |app, caller, arguments| {
            Box::pin(async move {
                let schedule = found(app, caller, arguments).await?;
                app.queue
                    .delete_schedule(&schedule.id, &caller.agent)
                    .await?;
                Ok(json!({"id": schedule.id, "name": schedule.name, "deleted": true}))
            })
        },
    )
}

fn trigger() -> Builtin {
    Builtin::new(
        "schedules__trigger",
        "Runs a schedule now, whether or not it is paused or another run is going on; answers with the job's id. Its next \
         time stays as it is.",
        Changes::Each,
        &reference(),
        &["id"],
        |app, caller, arguments| Box::pin(run_trigger(app, caller, arguments)),
    )
}

fn preview() -> Builtin {
    let properties = properties();
    Builtin::new(
        "schedules__preview",
        "Shows the next five times of a cron expression, in its zone and in UTC, and a plain-English reading. Stores nothing.",
        Changes::Nothing,
        &json!({"cron": properties["cron"], "tz": properties["tz"]}),
        &["cron"],
        |app, _, arguments| {
            Box::pin(async move {
                let Preview { cron, tz } = read(arguments)?;
                let now = app.queue.clock().now();
                let cron = Cron::parse(&cron, &tz, now).map_err(|error| given::refuse(&error))?;
                let upcoming = cron.upcoming(now, UPCOMING).into_iter();
                let upcoming: Vec<_> = upcoming.map(|at| cron.local(at)).collect();
                Ok(json!({"reading": cron.reading(), "upcoming": upcoming}))
            })
        },
    )
}

/// What can be said of a schedule.
fn properties() -> Value {
    json!({
        "name": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$",
                 "description": "Its name: 1 to 64 letters, digits, '.', '_' and '-'."},
        "cron": {"type": "string", "maxLength": MAX_CRON_CHARS,
                 "description": "5 fields (minute, hour, day of month, month, day of week; 0 and 7 are Sunday), or 6 with seconds \
                                 before them; also L, W, # and names such as @daily."},
        "tz": {"type": "string", "description": "The IANA time zone of the expression, such as Europe/Berlin."},
        "tool": {"type": "string", "description": "The tool to run, as tools/list names it."},
        "arguments": {"type": "object", "description": "The tool's arguments."},
        "start_at": {"type": "string", "description": "Not before this instant: RFC 3339, such as 2026-12-01T09:00:00Z."},
        "end_at": {"type": "string", "description": "Not after this instant: RFC 3339."},
        "max_runs": {"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "description": "So many runs at the most."},
        "jitter_s": {"type": "number", "minimum": 0, "maximum": 86_400,
                     "description": "Each run starts up to so many seconds after its time, by chance."},
        "overlap": {"type": "string", "enum": Overlap::ALL,
                    "description": "At a time when the run before is going on: skip it, queue it, or replace the run before."},
        "catch_up": {"type": "string", "enum": CatchUp::ALL,
                     "description": "Of times that passed while no worker was there: run none, the newest one, or all."},
        "catch_up_window_s": {"type": "number", "minimum": 0, "maximum": 31_536_000,
                              "description": "Missed times older than so many seconds are left out in any case; a day if not given."},
        "retry": retry_policy::schema(),
        "priority": {"type": "integer", "minimum": -100, "maximum": 100, "description": "Higher runs first."},
    })
}

fn reference() -> Value {
    json!({"id": {"type": "string", "description": "The schedule's id or name."}})
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

async fn run_list(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let List { agent, limit } = read(arguments)?;
    let agent = match agent {
        Some(agent) if !may_follow(caller, &agent) => return Ok(json!({"schedules": []})),
        None if !is_operator(caller) => Some(caller.agent.clone()),
        agent => agent,
    };
    let schedules = app.queue.schedules(agent, None, limit).await?;
    let schedules: Vec<_> = schedules.iter().map(show::one).collect();
    Ok(json!({ "schedules": schedules }))
}

async fn run_update(app: &App, caller: &Caller, mut arguments: Value) -> Result<Value, Refusal> {
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

async fn run_trigger(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let schedule = found(app, caller, arguments).await?;
    let Target::Tool { tool, arguments } = &schedule.spec.target;
    let tool = runnable(app, &owner(caller, &schedule), tool, arguments).await?;
    let job = schedule.job(&tool, arguments, app.default_timeout);
    let id = app
        .queue
        .trigger_schedule(&schedule.id, job, &caller.agent)
        .await?;
    tracing::info!(schedule.name, job.id = %id, "schedule triggered");
    Ok(json!({"id": id, "schedule": schedule.id, "name": schedule.name}))
}

/// The tool, if it is there, takes these arguments, and the owner may call it.
async fn runnable(
    app: &App,
    owner: &Caller,
    name: &str,
    arguments: &Map<String, Value>,
) -> Result<Tool, Refusal> {
    if super::find(name).is_some() {
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
    tool.arguments(arguments.clone())?;
    if let Err(refusal) = decide(app, owner, tool) {
        let name = tool.tool.name.as_str();
        app.queue
            .record_denial(&owner.agent, name, refusal.code)
            .await?;
        return Err(refusal);
    }
    Ok(tool.tool.clone())
}

/// The caller as the schedule's owner, as whom it runs whoever touches it.
fn owner(caller: &Caller, schedule: &Schedule) -> Caller {
    Caller {
        agent: schedule.agent.clone(),
        ..caller.clone()
    }
}

async fn found(app: &App, caller: &Caller, arguments: Value) -> Result<Schedule, Refusal> {
    find(app, caller, &read::<Reference>(arguments)?.id).await
}

/// The schedule as it is now.
fn shown(app: &App, id: &str) -> Result<Value, Refusal> {
    match app.queue.schedule(id)? {
        Some(schedule) => Ok(show::with_upcoming(&schedule)),
        None => Err(find::no_such_schedule(id)),
    }
}
