//! `schedules__*`: an agent keeps its own schedules, an operator everybody's.

mod find;
mod given;
mod run;
mod show;
mod target;

use serde_json::{Value, json};
use smcp_common::schedule::{CatchUp, MAX_CRON_CHARS, Overlap};

use super::{Builtin, Changes};
use crate::retry_policy;

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
        "Runs a tool or a workflow at the times that a cron expression names in a time zone: each time becomes one run of yours. Answers with \
         the next times and a plain-English reading; schedules__preview shows these without creating anything.",
        Changes::Each,
        &properties,
        &["name", "cron"],
        |app, caller, arguments| Box::pin(run::create(app, caller, arguments)),
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
        |app, caller, arguments| Box::pin(run::list(app, caller, arguments)),
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
                let schedule = run::found(app, caller, arguments).await?;
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
        |app, caller, arguments| Box::pin(run::update(app, caller, arguments)),
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
                let schedule = run::found(app, caller, arguments).await?;
                app.queue
                    .pause_schedule(&schedule.id, &caller.agent)
                    .await?;
                run::shown(app, &schedule.id)
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
                let schedule = run::found(app, caller, arguments).await?;
                app.queue
                    .resume_schedule(&schedule.id, &caller.agent)
                    .await?;
                run::shown(app, &schedule.id)
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
                let schedule = run::found(app, caller, arguments).await?;
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
        "Runs a schedule now, whether or not it is paused or another run is going on; answers with the id of the \
         job or workflow. Its next time stays as it is.",
        Changes::Each,
        &reference(),
        &["id"],
        |app, caller, arguments| Box::pin(run::trigger(app, caller, arguments)),
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
        |app, _, arguments| Box::pin(async move { run::preview(app, arguments) }),
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
        "workflow": {"type": "object", "required": ["steps"],
                     "description": "In the place of a tool, a workflow to run: {name, steps} as workflows__submit takes them."},
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
