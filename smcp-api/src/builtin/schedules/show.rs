//! A schedule as callers see it: instants in RFC 3339, fire times in the schedule's zone, too.

use serde_json::{Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::job::Retry;
use smcp_common::queue::QueueError;
use smcp_common::schedule::{Cron, CronError, Schedule, Standing, Target, Tick};

use super::UPCOMING;
use crate::app::App;
use crate::refusal::Refusal;

/// Ticks that are shown.
const TICKS: u32 = 20;

/// What there is to know without its history.
pub(super) fn one(schedule: &Schedule) -> Value {
    let Schedule { spec, .. } = schedule;
    let cron = spec.cron();
    let time = |at: Option<Timestamp>| at.map(|at| time(&cron, at));
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let (tool, arguments, workflow) = match &spec.target {
        Target::Tool { tool, arguments } => (Some(tool), Some(arguments), None),
        Target::Workflow { workflow, .. } => (None, None, Some(workflow)),
    };
    let next = schedule.next.filter(|_| schedule.paused.is_none());
    let paused = schedule.paused.as_ref();
    json!({
        "id": schedule.id,
        "name": schedule.name,
        "agent": schedule.agent,
        "state": schedule.standing(),
        "cron": spec.cron,
        "tz": spec.zone,
        "reading": cron.as_ref().map_or_else(CronError::to_string, Cron::reading),
        "tool": tool,
        "arguments": arguments,
        "workflow": workflow,
        "next": time(next.map(|next| next.tick)),
        "last": time(schedule.last_tick),
        "start_at": text(spec.start_at),
        "end_at": text(spec.end_at),
        "max_runs": spec.max_runs,
        "runs": schedule.runs,
        "jitter_s": spec.jitter.as_secs_f64(),
        "overlap": spec.overlap,
        "catch_up": spec.catch_up,
        "catch_up_window_s": spec.catch_up_window.as_secs_f64(),
        "retry": spec.retry.as_ref().map(retry),
        "priority": spec.priority,
        "paused": paused.map(|paused| json!({"at": paused.at.to_string(), "by": paused.by})),
        "created_at": schedule.created_at.to_string(),
        "updated_at": schedule.updated_at.to_string(),
    })
}

/// The same with its next times.
pub(super) fn with_upcoming(schedule: &Schedule) -> Value {
    let mut shown = one(schedule);
    shown["upcoming"] = upcoming(schedule).into();
    shown
}

/// All there is to know.
pub(super) fn all(app: &App, schedule: &Schedule) -> Result<Value, Refusal> {
    let cron = schedule.spec.cron();
    let ticks = app.queue.ticks(&schedule.id, TICKS)?;
    let ticks: Result<Vec<_>, QueueError> = ticks.iter().map(|one| tick(app, &cron, one)).collect();
    let mut shown = with_upcoming(schedule);
    shown["ticks"] = ticks?.into();
    Ok(shown)
}

fn upcoming(schedule: &Schedule) -> Vec<Value> {
    let (Ok(cron), Standing::Active, Some(next)) =
        (schedule.spec.cron(), schedule.standing(), schedule.next)
    else {
        return Vec::new();
    };
    let left = schedule.spec.max_runs;
    let left = left.map_or(UPCOMING, |most| most.saturating_sub(schedule.runs) as usize);
    let end = schedule.spec.end_at;
    std::iter::once(next.tick)
        .chain(cron.upcoming(next.tick, UPCOMING - 1))
        .take_while(|at| end.is_none_or(|end| *at <= end))
        .take(left)
        .map(|at| json!(cron.local(at)))
        .collect()
}

fn tick(app: &App, cron: &Result<Cron, CronError>, tick: &Tick) -> Result<Value, QueueError> {
    let job = tick.job.as_ref().map(|id| app.queue.job(id)).transpose()?;
    let workflow = tick.workflow.as_ref();
    let workflow = workflow.map(|id| app.queue.workflow(id)).transpose()?;
    Ok(json!({
        "tick": time(cron, tick.tick),
        "kind": tick.kind,
        "outcome": tick.outcome,
        "job": tick.job,
        "job_state": job.flatten().map(|job| job.state),
        "workflow": tick.workflow,
        "workflow_state": workflow.flatten().map(|workflow| workflow.state),
        "detail": tick.detail,
        "at": tick.at.to_string(),
    }))
}

/// An instant in UTC and in the schedule's zone.
fn time(cron: &Result<Cron, CronError>, at: Timestamp) -> Value {
    match cron {
        Ok(cron) => json!(cron.local(at)),
        Err(_) => json!({"utc": at.to_string(), "local": null, "weekday": null}),
    }
}

/// The policy as [`crate::retry_policy`] reads it.
fn retry(retry: &Retry) -> Value {
    let seconds = |ms| std::time::Duration::from_millis(ms).as_secs_f64();
    json!({
        "max_attempts": retry.max_attempts,
        "initial_s": seconds(retry.initial_ms),
        "factor": retry.factor,
        "max_s": seconds(retry.max_ms),
        "retry_on": retry.retry_on,
    })
}
