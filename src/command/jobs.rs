//! `smcp jobs`: what was called, and how it ended.

mod operate;
mod record;
mod tail;

use std::process::ExitCode;

use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use smcp_common::clock::{Clock as _, SystemClock};
use smcp_common::config::Environment;
use smcp_common::job::{Failure, Pause};

use self::record::Job;
use super::with_client;
use crate::cli::{JobRef, Jobs, JobsCancel, JobsList};
use crate::client::Client;
use crate::duration;
use crate::table::Table;
use crate::terminal::{Style, print, print_json, print_raw, warn};

/// How long one question for the end of a job is left open.
const WAIT_S: u64 = 60;
/// The same for the first one, so that it is soon told why a job waits.
const FIRST_WAIT_S: u64 = 2;
/// Bytes of output that are fetched at once.
const PAGE_BYTES: u64 = 1024 * 1024;

/// Carries out a command on jobs.
pub(crate) fn run(what: Jobs) -> anyhow::Result<ExitCode> {
    match what {
        Jobs::List(options) => with_client(&options.connection, async |client| {
            list(client, &options).await
        }),
        Jobs::Show(job) => with_client(&job.connection, async |client| show(client, &job).await),
        Jobs::Tail(job) => with_client(&job.connection, async |client| {
            tail::run(client, &job).await
        }),
        Jobs::Wait(job) => with_client(&job.connection, async |client| wait(client, &job).await),
        Jobs::Output(job) => {
            with_client(&job.connection, async |client| output(client, &job).await)
        }
        Jobs::Cancel(job) => {
            with_client(&job.connection, async |client| cancel(client, &job).await)
        }
        Jobs::Flush(options) => with_client(&options.connection, async |client| {
            operate::flush(client, &options).await
        }),
        Jobs::Priority(options) => with_client(&options.connection, async |client| {
            operate::priority(client, &options).await
        }),
        Jobs::RequeueDead(options) => with_client(&options.connection, async |client| {
            operate::requeue_dead(client, &options).await
        }),
        Jobs::Retry(options) => with_client(&options.connection, async |client| {
            operate::retry(client, &options).await
        }),
    }
}

async fn list(client: &mut Client, options: &JobsList) -> anyhow::Result<ExitCode> {
    let mut filter = Map::from_iter([("limit".to_owned(), json!(options.limit))]);
    let JobsList {
        state,
        tool,
        lane,
        agent,
        ..
    } = options;
    for (name, value) in [("tool", tool), ("lane", lane), ("agent", agent)] {
        if let Some(value) = value {
            filter.insert(name.to_owned(), json!(value));
        }
    }
    if let Some(state) = state {
        filter.insert("state".to_owned(), json!(state));
    }
    let mut answer = client.ask("jobs__list", Value::Object(filter)).await?;
    let jobs = answer["jobs"].take();
    if options.connection.json {
        print_json(&jobs)?;
    } else {
        print(&table(&serde_json::from_value::<Vec<Job>>(jobs)?))?;
        warn_of_pauses(&answer["pauses"])?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says on standard error what is paused, since that may be why nothing happens.
fn warn_of_pauses(pauses: &Value) -> anyhow::Result<()> {
    let now = SystemClock.now();
    for pause in Option::<Vec<Pause>>::deserialize(pauses)?.unwrap_or_default() {
        warn(&pause.clause(now))?;
    }
    Ok(())
}

fn table(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let (now, style) = (
        SystemClock.now(),
        Style::of_stdout(&Environment::of_process()),
    );
    let mut table = Table::new(["ID", "STATE", "AGE", "AGENT", "LANE", "TOOL"]);
    for job in jobs {
        let age = duration::render(now.since(job.created_at));
        let lane = job.lane.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            job.id.clone(),
            job.state.clone(),
            age,
            job.agent.clone(),
            lane,
            job.tool.clone(),
        ]);
    }
    table.render(|row, column, cell| match (row, column) {
        (0, _) => style.bold(cell),
        (_, 1) => style.state(cell),
        _ => cell.to_owned(),
    })
}

async fn show(client: &mut Client, options: &JobRef) -> anyhow::Result<ExitCode> {
    let job = client.ask("jobs__get", json!({ "id": options.id })).await?;
    if options.connection.json {
        print_json(&job)?;
    } else {
        let job: Job = serde_json::from_value(job)?;
        print(&job.render(Style::of_stdout(&Environment::of_process())))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn wait(client: &mut Client, options: &JobRef) -> anyhow::Result<ExitCode> {
    let mut told = Vec::new();
    let mut timeout_s = FIRST_WAIT_S;
    let ended = loop {
        let job = client
            .ask(
                "jobs__wait",
                json!({ "id": options.id, "timeout_s": timeout_s }),
            )
            .await?;
        if job["done"] == true {
            break job;
        }
        timeout_s = WAIT_S;
        // Once each, and not that others go first.
        for reason in job["waiting"].as_array().into_iter().flatten() {
            let code = reason["code"].as_str().unwrap_or_default();
            let is_turn = ["agent_busy", "lane_busy", "behind", "workers_busy"].contains(&code);
            if !is_turn && !told.contains(&reason["code"]) {
                told.push(reason["code"].clone());
                warn(reason["message"].as_str().unwrap_or_default())?;
            }
        }
    };
    let job = Job::read(&ended)?;
    if options.connection.json {
        print_json(&ended)?;
    } else {
        print(&job.ending(Style::of_stdout(&Environment::of_process())))?;
    }
    Ok(if job.state == "succeeded" {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn output(client: &mut Client, options: &JobRef) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    let mut last = pages(client, options.id.as_str(), |printed| {
        if options.connection.json {
            text.push_str(printed);
            Ok(())
        } else {
            print_raw(printed)
        }
    })
    .await?;
    if options.connection.json {
        last["offset"] = json!(0);
        last["text"] = json!(text);
        print_json(&last)?;
    } else if let Some(Failure { code, message }) = Option::deserialize(&last["warning"])? {
        warn(&format!("{code}: {message}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the whole output of a job, piece by piece, and answers what was said with the last piece.
pub(super) async fn pages(
    client: &mut Client,
    id: &str,
    mut take: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Value> {
    let mut offset = 0;
    loop {
        let page = page(client, id, offset).await?;
        let next = page["next_offset"].as_u64().unwrap_or(offset);
        take(page["text"].as_str().unwrap_or_default())?;
        if next <= offset || next >= page["total_bytes"].as_u64().unwrap_or(0) {
            return Ok(page);
        }
        offset = next;
    }
}

async fn page(client: &mut Client, id: &str, offset: u64) -> anyhow::Result<Value> {
    client
        .ask(
            "jobs__output",
            json!({ "id": id, "offset": offset, "limit": PAGE_BYTES }),
        )
        .await
}

async fn cancel(client: &mut Client, options: &JobsCancel) -> anyhow::Result<ExitCode> {
    let mut request = json!({ "id": options.id });
    if let Some(reason) = &options.reason {
        request["reason"] = json!(reason);
    }
    let cancelled = client.ask("jobs__cancel", request).await?;
    if options.connection.json {
        print_json(&cancelled)?;
    } else {
        print(&match cancelled["state"].as_str().unwrap_or_default() {
            "running" => "its worker has been told to stop it".to_owned(),
            state => state.to_owned(),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}
