//! `jobs__output` and `jobs__events`: what a job printed, and what has happened to it, piece by piece.

use std::time::Duration;

use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::{Value, json};

use super::jobs::find;
use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::output_range::{self, Border, DEFAULT_BYTES, MAX_BYTES};
use crate::refusal::Refusal;

pub(super) fn output() -> Builtin {
    Builtin::new(
        "jobs__output",
        "Reads what a job has printed so far, from any place; with grep only the lines that match.",
        Changes::Nothing,
        &json!({
            "id": {"type": "string", "description": "The job's id."},
            "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "The first byte to read."},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_BYTES, "default": DEFAULT_BYTES,
                      "description": "Bytes to read at most."},
            "grep": {"type": "string", "maxLength": 1000,
                     "description": "A regular expression; only lines of the read part that match it are returned."},
        }),
        &["id"],
        |app, caller, arguments| Box::pin(run_output(app, caller, arguments)),
    )
}

pub(super) fn events() -> Builtin {
    Builtin::new(
        "jobs__events",
        "Reads the news of a job after a given number: queued, started, progress, log lines, finished.",
        Changes::Nothing,
        &json!({
            "id": {"type": "string", "description": "The job's id."},
            "after": {"type": "integer", "minimum": 0, "default": 0, "description": "The last number already seen."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200, "description": "At most so many."},
            "wait_s": {"type": "number", "minimum": 0, "maximum": 30, "default": 0,
                       "description": "Seconds to wait for news where there are none yet."},
        }),
        &["id"],
        |app, caller, arguments| Box::pin(run_events(app, caller, arguments)),
    )
}

#[derive(Deserialize)]
struct Output {
    id: String,
    #[serde(default)]
    offset: u64,
    #[serde(default = "default_bytes")]
    limit: usize,
    grep: Option<String>,
}

const fn default_bytes() -> usize {
    DEFAULT_BYTES
}

async fn run_output(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Output {
        id,
        offset,
        limit,
        grep,
    } = read(arguments)?;
    let job = find(app, caller, &id)?;
    let pattern = grep
        .as_deref()
        .map(|grep| RegexBuilder::new(grep).size_limit(1 << 20).build())
        .transpose();
    let pattern =
        pattern.map_err(|error| Refusal::invalid_arguments(format!("argument 'grep': {error}")))?;
    let border = match pattern {
        Some(_) => Border::Line,
        None => Border::Character,
    };
    let part = output_range::read(app, &job, offset, limit, border).await?;
    let mut text = String::from_utf8_lossy(&part.bytes).into_owned();
    if let Some(pattern) = pattern {
        let matching = text
            .lines()
            .filter(|line| pattern.is_match(line))
            .map(|line| format!("{line}\n"));
        text = matching.collect();
    }
    Ok(json!({
        "id": job.id,
        "offset": offset,
        "text": text,
        "next_offset": part.next_offset,
        "total_bytes": job.output_bytes,
        "truncated": job.output_truncated,
        "warning": job.warning(),
        "done": part.done,
    }))
}

#[derive(Deserialize)]
struct Events {
    id: String,
    #[serde(default)]
    after: i64,
    #[serde(default = "default_events")]
    limit: u32,
    #[serde(default)]
    wait_s: f64,
}

const fn default_events() -> u32 {
    200
}

async fn run_events(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Events {
        id,
        after,
        limit,
        wait_s,
    } = read(arguments)?;
    let job = find(app, caller, &id)?;
    let subscription = app.watch.subscribe(&job.id);
    let mut events = app.queue.events(&job.id, after, limit)?;
    if events.is_empty() && !job.state.is_final() {
        let wait = Duration::try_from_secs_f64(wait_s).unwrap_or_default();
        if tokio::time::timeout(wait, subscription.news())
            .await
            .is_ok()
        {
            events = app.queue.events(&job.id, after, limit)?;
        }
    }
    let last = events.last().map_or(after, |event| event.seq);
    let done =
        find(app, caller, &id)?.state.is_final() && app.queue.events(&job.id, last, 1)?.is_empty();
    Ok(json!({"events": events, "last": last, "done": done}))
}
