//! `smcp queues`: how the queue stands, and what is paused.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::clock::{Clock as _, SystemClock, Timestamp};
use smcp_common::config::Environment;
use smcp_common::job::{self, Pause};
use tokio::signal::unix::{SignalKind, signal};

use super::with_client;
use crate::cli::{Queues, QueuesList, QueuesPause, QueuesResume, Scope};
use crate::client::Client;
use crate::duration;
use crate::table::Table;
use crate::terminal::{Style, one_line, print, print_json};

/// How often a drain looks whether something still runs.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The answer of `queues__list`.
#[derive(Debug, Deserialize)]
struct Listing {
    queues: Vec<Row>,
    left_out: u64,
    pauses: Vec<Told>,
}

/// How one lane stands.
#[derive(Debug, Deserialize)]
struct Row {
    lane: Option<String>,
    queued: u64,
    scheduled: u64,
    running: u64,
    jobs: Vec<Running>,
    oldest_due: Option<Timestamp>,
    paused: Vec<Pause>,
}

#[derive(Debug, Deserialize)]
struct Running {
    id: String,
    tool: String,
}

/// A pause, and what it keeps back.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(flatten)]
    pause: Pause,
    load: Load,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Load {
    queued: u64,
    scheduled: u64,
    running: u64,
}

/// Carries out a command on the queue.
pub(crate) fn run(what: Queues) -> anyhow::Result<ExitCode> {
    match what {
        Queues::List(options) => with_client(&options.connection, async |client| {
            list(client, &options).await
        }),
        Queues::Pause(options) => with_client(&options.connection, async |client| {
            pause(client, &options).await
        }),
        Queues::Resume(options) => with_client(&options.connection, async |client| {
            resume(client, &options).await
        }),
        Queues::Drain(options) => with_client(&options.connection, async |client| {
            drain(client, &options).await
        }),
    }
}

async fn list(client: &mut Client, options: &QueuesList) -> anyhow::Result<ExitCode> {
    let answer = client.ask("queues__list", json!({})).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        let style = Style::of_stdout(&Environment::of_process());
        let listing = Listing::deserialize(&answer)?;
        print(&table(&listing, SystemClock.now(), style))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(listing: &Listing, now: Timestamp, style: Style) -> String {
    let mut text = String::new();
    if listing.queues.is_empty() {
        text.push_str("nothing waits, and nothing runs\n");
    } else {
        let mut table = Table::new([
            "LANE",
            "QUEUED",
            "SCHEDULED",
            "WAITS FOR",
            "RUNNING",
            "PAUSED",
        ]);
        for lane in &listing.queues {
            let age = lane.oldest_due.map(|due| duration::render(now.since(due)));
            let paused: Vec<_> = lane
                .paused
                .iter()
                .map(|pause| short(&pause.scope))
                .collect();
            table.row([
                lane.lane
                    .as_deref()
                    .map_or_else(|| "-".to_owned(), one_line),
                lane.queued.to_string(),
                lane.scheduled.to_string(),
                age.unwrap_or_else(|| "-".to_owned()),
                lane.running(),
                paused.join(", "),
            ]);
        }
        text = table.render(|row, column, cell| match (row, column) {
            (0, _) => style.bold(cell),
            (_, 5) => style.yellow(cell),
            _ => cell.to_owned(),
        });
    }
    if listing.left_out > 0 {
        // Writing to a String cannot fail.
        writeln!(text, "… and {} more lanes", listing.left_out).unwrap_or_default();
    }
    for Told { pause, load } in &listing.pauses {
        let why = one_line(&pause.clause(now));
        let kept = load.queued + load.scheduled;
        writeln!(text, "{} {why} ({kept} wait)", style.yellow("paused:")).unwrap_or_default();
    }
    text
}

impl Row {
    fn running(&self) -> String {
        match (self.running, &self.jobs[..]) {
            (0, _) => "-".to_owned(),
            (1, [job]) => format!("{} {}", job.tool, job.id),
            (running, _) => running.to_string(),
        }
    }
}

/// What is paused, in a word.
fn short(scope: &job::Scope) -> String {
    match scope {
        job::Scope::All => "all".to_owned(),
        job::Scope::Lane(_) => "lane".to_owned(),
        job::Scope::Plugin(plugin) => format!("plugin {plugin}"),
    }
}

async fn pause(client: &mut Client, options: &QueuesPause) -> anyhow::Result<ExitCode> {
    let answer = client.ask("queues__pause", request(options)).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        print(&paused(&answer, SystemClock.now())?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a pause came to, for people.
fn paused(answer: &Value, now: Timestamp) -> anyhow::Result<String> {
    let pause = Pause::deserialize(answer).context("the pause cannot be read")?;
    let load = Load::deserialize(&answer["load"]).context("the load cannot be read")?;
    let said = if answer["changed"] == true {
        format!("{} is paused", pause.scope)
    } else {
        format!("nothing has changed: {}", one_line(&pause.clause(now)))
    };
    let Load {
        queued,
        scheduled,
        running,
    } = load;
    Ok(format!(
        "{said}; {} wait, {running} still run\n",
        queued + scheduled
    ))
}

async fn resume(client: &mut Client, options: &QueuesResume) -> anyhow::Result<ExitCode> {
    let request = scope(&options.scope);
    let answer = client.ask("queues__resume", Value::Object(request)).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        let scope = job::Scope::deserialize(&answer).context("the answer cannot be read")?;
        print(&if answer["changed"] == true {
            format!("{scope} is not paused any more")
        } else {
            format!("nothing has changed: {scope} was not paused")
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Pauses, and waits until nothing of it runs.
async fn drain(client: &mut Client, options: &QueuesPause) -> anyhow::Result<ExitCode> {
    // From here on: once the pause stands, whoever interrupts must be told that it stays.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
    let mut answer = client.ask("queues__pause", request(options)).await?;
    let json = options.connection.json;
    let say = |text: &str| if json { Ok(()) } else { print(text) };
    say(&paused(&answer, SystemClock.now())?)?;
    let scope = job::Scope::deserialize(&answer).context("the pause cannot be read")?;
    let mut last = running(&answer);
    while last > 0 {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = interrupt.recv() => {
                bail!("interrupted; {scope} stays paused: smcp queues resume ends that");
            }
        }
        // Not by another pause: where somebody has resumed it meanwhile, that stands.
        let listing: Listing = client.ask_as("queues__list", json!({})).await?;
        let Some(told) = listing.pauses.iter().find(|told| told.pause.scope == scope) else {
            bail!("{scope} is not paused any more: somebody has resumed it");
        };
        let now = told.load.running;
        if now != last && now > 0 {
            say(&format!("{now} still run"))?;
        }
        last = now;
        answer["load"] =
            json!({"queued": told.load.queued, "scheduled": told.load.scheduled, "running": now});
    }
    if json {
        print_json(&answer)?;
    } else {
        print(&format!("nothing of {scope} runs any more"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn running(answer: &Value) -> u64 {
    answer["load"]["running"].as_u64().unwrap_or_default()
}

fn request(options: &QueuesPause) -> Value {
    let mut request = scope(&options.scope);
    if let Some(reason) = &options.reason {
        request.insert("reason".to_owned(), json!(reason));
    }
    Value::Object(request)
}

fn scope(scope: &Scope) -> Map<String, Value> {
    let Scope { all, lane, plugin } = scope;
    let mut request = Map::new();
    if *all {
        request.insert("all".to_owned(), json!(true));
    }
    for (name, value) in [("lane", lane), ("plugin", plugin)] {
        if let Some(value) = value {
            request.insert(name.to_owned(), json!(value));
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(600_000);

    #[test]
    fn lanes_and_pauses_are_shown() {
        let pause = json!({"scope": "lane", "name": "deploy", "since": 300_000, "by": "operator", "reason": "maintenance"});
        let mut told = pause.clone();
        told["load"] = json!({"queued": 2, "scheduled": 1, "running": 1});
        let listing = json!({
            "queues": [
                {"lane": null, "queued": 0, "scheduled": 1, "running": 2, "jobs": [], "oldest_due": null, "paused": []},
                {"lane": "deploy", "queued": 2, "scheduled": 1, "running": 1, "jobs": [{"id": "019a", "tool": "devops__deploy",
                 "agent": "ci", "plugin": "devops"}], "oldest_due": 480_000, "paused": [pause]},
            ],
            "left_out": 0,
            "pauses": [told],
        });
        let expected = "\
LANE    QUEUED  SCHEDULED  WAITS FOR  RUNNING              PAUSED
-       0       1          -          2
deploy  2       1          2 m        devops__deploy 019a  lane
paused: lane 'deploy' was paused by operator 5 min ago: maintenance (3 wait)
";
        let listing: Listing = serde_json::from_value(listing).unwrap();
        assert_eq!(table(&listing, NOW, Style::default()), expected);
        let nothing = json!({"queues": [], "left_out": 0, "pauses": []});
        let nothing: Listing = serde_json::from_value(nothing).unwrap();
        assert_eq!(
            table(&nothing, NOW, Style::default()),
            "nothing waits, and nothing runs\n"
        );
    }

    #[test]
    fn a_pause_is_told_with_what_it_keeps_back() {
        let mut answer = json!({"scope": "all", "since": 600_000, "by": "operator", "reason": null, "paused": true,
                                "changed": true, "load": {"queued": 2, "scheduled": 1, "running": 1}});
        let said = paused(&answer, NOW).unwrap();
        assert_eq!(said, "the whole queue is paused; 3 wait, 1 still run\n");
        answer["changed"] = json!(false);
        let said = paused(&answer, NOW).unwrap();
        let expected = "nothing has changed: the whole queue was paused by operator just now; 3 wait, 1 still run\n";
        assert_eq!(said, expected);
    }
}
