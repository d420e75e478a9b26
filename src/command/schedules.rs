//! `smcp schedules`: tools that run again and again.

mod record;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};
use smcp_common::clock::{Clock as _, SystemClock};
use smcp_common::config::Environment;

use self::record::{Moment, Preview, Schedule};
use super::call::{read_args, schema};
use super::with_client;
use super::workflows::definition;
use crate::arguments;
use crate::cli::{ScheduleAdd, ScheduleList, ScheduleNext, ScheduleRef, Schedules};
use crate::client::Client;
use crate::table::Table;
use crate::terminal::{Style, print, print_json};

/// Carries out a command on schedules.
pub(crate) fn run(what: Schedules) -> anyhow::Result<ExitCode> {
    match what {
        Schedules::Add(options) => with_client(&options.connection, async |client| {
            add(client, &options).await
        }),
        Schedules::List(options) => with_client(&options.connection, async |client| {
            list(client, &options).await
        }),
        Schedules::Show(schedule) => with_client(&schedule.connection, async |client| {
            show(client, &schedule).await
        }),
        Schedules::Pause(schedule) => change(&schedule, "schedules__pause"),
        Schedules::Resume(schedule) => change(&schedule, "schedules__resume"),
        Schedules::Remove(schedule) => with_client(&schedule.connection, async |client| {
            remove(client, &schedule).await
        }),
        Schedules::Trigger(schedule) => with_client(&schedule.connection, async |client| {
            trigger(client, &schedule).await
        }),
        Schedules::Next(options) => with_client(&options.connection, async |client| {
            next(client, &options).await
        }),
    }
}

async fn add(client: &mut Client, options: &ScheduleAdd) -> anyhow::Result<ExitCode> {
    let mut request = json!({
        "name": options.name,
        "cron": options.cron,
        "tz": options.tz,
        "start_at": options.start.map(|at| at.to_string()),
        "end_at": options.end.map(|at| at.to_string()),
        "max_runs": options.max_runs,
        "jitter_s": options.jitter.map(|jitter| jitter.as_secs()),
        "overlap": options.overlap,
        "catch_up": options.catch_up,
        "catch_up_window_s": options.catch_up_window.map(|window| window.as_secs()),
        "retry": options.attempts.map(|attempts| json!({ "max_attempts": attempts })),
        "priority": options.priority,
    });
    match (&options.tool, &options.workflow) {
        (Some(tool), _) => {
            let tools = client.tools().await?;
            let schema = schema(&tools, tool)?;
            let json = read_args(&options.given)?;
            let arguments =
                arguments::read(tool, schema, json.as_deref(), &options.given.arguments)?;
            (request["tool"], request["arguments"]) = (json!(tool), json!(arguments));
        }
        (None, Some(file)) => request["workflow"] = json!(definition(Path::new(file))?),
        (None, None) => {}
    }
    let created = client.ask("schedules__create", request).await?;
    tell(&created, options.connection.json)
}

async fn list(client: &mut Client, options: &ScheduleList) -> anyhow::Result<ExitCode> {
    let request = json!({ "agent": options.agent });
    let mut answer = client.ask("schedules__list", request).await?;
    let schedules = answer["schedules"].take();
    if options.connection.json {
        print_json(&schedules)?;
    } else {
        print(&table(&serde_json::from_value::<Vec<Schedule>>(schedules)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(schedules: &[Schedule]) -> String {
    if schedules.is_empty() {
        return "no schedules\n".to_owned();
    }
    let (now, style) = (
        SystemClock.now(),
        Style::of_stdout(&Environment::of_process()),
    );
    let mut table = Table::new(["NAME", "STATE", "AGENT", "CRON", "ZONE", "RUNS", "NEXT"]);
    for schedule in schedules {
        let next = schedule.next.as_ref();
        table.row([
            schedule.name.clone(),
            schedule.state.clone(),
            schedule.agent.clone(),
            schedule.cron.clone(),
            schedule.tz.clone(),
            schedule.target(),
            next.map_or_else(|| "-".to_owned(), |next| next.until(now)),
        ]);
    }
    table.render(|row, column, cell| match (row, column) {
        (0, _) => style.bold(cell),
        (_, 1) => record::standing(style, cell),
        _ => cell.to_owned(),
    })
}

async fn show(client: &mut Client, options: &ScheduleRef) -> anyhow::Result<ExitCode> {
    let schedule = client
        .ask("schedules__get", json!({ "id": options.id }))
        .await?;
    tell(&schedule, options.connection.json)
}

fn change(options: &ScheduleRef, tool: &str) -> anyhow::Result<ExitCode> {
    with_client(&options.connection, async |client| {
        let schedule = client.ask(tool, json!({ "id": options.id })).await?;
        if options.connection.json {
            print_json(&schedule)?;
        } else {
            let schedule = Schedule::read(&schedule)?;
            let now = SystemClock.now();
            let next = schedule.next.as_ref();
            let next = next.map_or_else(String::new, |next| format!(", next {}", next.until(now)));
            print(&format!("{} is {}{next}", schedule.name, schedule.state))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn remove(client: &mut Client, options: &ScheduleRef) -> anyhow::Result<ExitCode> {
    let deleted = client
        .ask("schedules__delete", json!({ "id": options.id }))
        .await?;
    if options.connection.json {
        print_json(&deleted)?;
    } else {
        print(&format!("{} is removed", options.id))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn trigger(client: &mut Client, options: &ScheduleRef) -> anyhow::Result<ExitCode> {
    let triggered = client
        .ask("schedules__trigger", json!({ "id": options.id }))
        .await?;
    if options.connection.json {
        print_json(&triggered)?;
    } else {
        let id = triggered["job"].as_str().or(triggered["workflow"].as_str());
        print(id.context("schedules__trigger gave no id")?)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn next(client: &mut Client, options: &ScheduleNext) -> anyhow::Result<ExitCode> {
    let request = json!({ "cron": options.cron, "tz": options.tz });
    let preview = client.ask("schedules__preview", request).await?;
    if options.connection.json {
        print_json(&preview)?;
    } else {
        let Preview { reading, upcoming } =
            serde_json::from_value(preview).context("the times cannot be read")?;
        let times = Moment::lines(&upcoming, SystemClock.now());
        print(&format!("{reading}\n{times}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints all there is to know.
fn tell(schedule: &Value, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        print_json(schedule)?;
    } else {
        let style = Style::of_stdout(&Environment::of_process());
        print(&Schedule::read(schedule)?.render(SystemClock.now(), style))?;
    }
    Ok(ExitCode::SUCCESS)
}
