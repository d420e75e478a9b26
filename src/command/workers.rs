//! `smcp workers`: who runs the jobs, and how many there shall be.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::clock::{Clock as _, SystemClock, Timestamp};
use smcp_common::config::Environment;
use smcp_common::sandbox::Report;
use tokio::time::sleep;

use super::with_client;
use crate::cli::{Workers, WorkersDrain, WorkersList, WorkersScale};
use crate::client::Client;
use crate::duration;
use crate::table::Table;
use crate::terminal::{Style, one_line, print, print_json};

/// How often to ask whether as many run as are wanted.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// In the place of the tier of a worker that runs no plugin.
const REFUSES: &str = "refuses";

/// The answer of `workers__scale`, which `workers__list` begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Scale {
    wanted: usize,
    running: usize,
    others: usize,
    supervised: bool,
}

/// The answer of `workers__list`.
#[derive(Debug, Deserialize)]
struct Listing {
    #[serde(flatten)]
    scale: Scale,
    workers: Vec<Worker>,
}

#[derive(Debug, Deserialize)]
struct Worker {
    id: String,
    host: String,
    pid: u32,
    version: String,
    managed: bool,
    started_at: Timestamp,
    last_seen: Timestamp,
    state: String,
    job: Option<String>,
    tool: Option<String>,
    scheduler: bool,
    #[serde(default)]
    sandbox: Option<Report>,
}

/// Carries out a command on workers.
pub(crate) fn run(what: Workers) -> anyhow::Result<ExitCode> {
    match what {
        Workers::List(options) => with_client(&options.connection, async |client| {
            list(client, &options).await
        }),
        Workers::Scale(options) => with_client(&options.connection, async |client| {
            scale(client, &options).await
        }),
        Workers::Drain(options) => with_client(&options.connection, async |client| {
            drain(client, &options).await
        }),
    }
}

async fn list(client: &mut Client, options: &WorkersList) -> anyhow::Result<ExitCode> {
    let mut answer = client.ask("workers__list", json!({})).await?;
    if options.connection.json {
        print_json(&answer["workers"].take())?;
    } else {
        let style = Style::of_stdout(&Environment::of_process());
        print(&Listing::deserialize(answer)?.render(SystemClock.now(), style))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn scale(client: &mut Client, options: &WorkersScale) -> anyhow::Result<ExitCode> {
    let asked = json!({ "count": options.count });
    let mut answer = client.ask("workers__scale", asked).await?;
    let scale = Scale::deserialize(&answer)?;
    if !options.connection.json {
        print(&scale.render())?;
    }
    if options.wait {
        if !scale.supervised {
            bail!("nobody starts or ends workers, so that there is nothing to wait for");
        }
        answer = reached(client).await?;
    }
    if options.connection.json {
        print_json(&answer)?;
    } else if options.wait {
        print(&Scale::deserialize(&answer)?.render())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until as many workers run as are wanted, and none drains; answers the scale.
async fn reached(client: &mut Client) -> anyhow::Result<Value> {
    loop {
        let mut answer = client.ask("workers__list", json!({})).await?;
        let Listing { scale, workers } = Listing::deserialize(&answer)?;
        let is_draining = |worker: &Worker| worker.managed && worker.state == "draining";
        if scale.running == scale.wanted && !workers.iter().any(is_draining) {
            if let Some(answer) = answer.as_object_mut() {
                answer.remove("workers");
            }
            return Ok(answer);
        }
        sleep(ASK_EVERY).await;
    }
}

async fn drain(client: &mut Client, options: &WorkersDrain) -> anyhow::Result<ExitCode> {
    let asked = json!({ "worker": options.worker });
    let answer = client.ask("workers__drain", asked).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        let drained: Vec<String> = Vec::deserialize(&answer["draining"])?;
        print(&match &*drained {
            [] => "there are no workers".to_owned(),
            ids => format!("draining {}", ids.join(", ")),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Scale {
    /// What has been said, and what follows from it.
    fn render(self) -> String {
        let Self {
            wanted,
            running,
            others,
            supervised,
        } = self;
        let mut text = format!("{} wanted", workers(wanted));
        if supervised {
            text.push_str(&match (running, running.cmp(&wanted)) {
                (_, std::cmp::Ordering::Less) => {
                    let more = wanted - running;
                    format!("; {}, smcp up starts {more} more", are_running(running))
                }
                (0, std::cmp::Ordering::Equal) => "; none is running".to_owned(),
                (_, std::cmp::Ordering::Equal) => format!("; {}", are_running(running)),
                (_, std::cmp::Ordering::Greater) => {
                    let many = running - wanted;
                    format!("; {}, smcp up lets {many} end", are_running(running))
                }
            });
        } else {
            text.push_str(", but no smcp up is running, which alone starts and ends workers");
        }
        if others > 0 {
            text.push_str(&format!(
                "; {} started otherwise, and not touched",
                match others {
                    1 => "1 was".to_owned(),
                    many => format!("{many} were"),
                }
            ));
        }
        text
    }
}

fn workers(count: usize) -> String {
    match count {
        1 => "1 worker".to_owned(),
        many => format!("{many} workers"),
    }
}

fn are_running(count: usize) -> String {
    match count {
        1 => "1 is running".to_owned(),
        many => format!("{many} are running"),
    }
}

impl Listing {
    /// Why workers run no plugin, each reason once.
    fn refusals(&self) -> Vec<String> {
        let reports = self
            .workers
            .iter()
            .filter_map(|worker| worker.sandbox.as_ref());
        let mut refusals: Vec<_> = reports
            .filter_map(|report| report.refusal.as_deref())
            .map(one_line)
            .collect();
        refusals.sort();
        refusals.dedup();
        refusals
    }

    fn render(&self, now: Timestamp, style: Style) -> String {
        let scale = self.scale.render();
        if self.workers.is_empty() {
            return format!("no workers\n{scale}\n");
        }
        let mut table = Table::new([
            "ID", "STATE", "AGE", "SEEN", "HOST", "PID", "VERSION", "BY", "SANDBOX", "JOB",
        ]);
        for worker in &self.workers {
            let job = match (&worker.job, &worker.tool) {
                (Some(job), Some(tool)) => format!("{job} {tool}"),
                _ => "-".to_owned(),
            };
            let sandbox = match &worker.sandbox {
                Some(report) if report.refusal.is_some() => REFUSES,
                Some(report) => report.tier.as_str(),
                None => "-",
            };
            let by = if worker.managed { "up" } else { "hand" };
            let mark = if worker.scheduler { "*" } else { "" };
            table.row([
                format!("{}{mark}", worker.id),
                worker.state.clone(),
                duration::render(now.since(worker.started_at)),
                duration::render(now.since(worker.last_seen)),
                worker.host.clone(),
                worker.pid.to_string(),
                worker.version.clone(),
                by.to_owned(),
                sandbox.to_owned(),
                job,
            ]);
        }
        let mut text = table.render(|row, column, cell| match (row, column) {
            (0, _) => style.bold(cell),
            (_, 1) if cell == "silent" => style.red(cell),
            (_, 1) => style.state(cell),
            (_, 8) if cell == REFUSES => style.red(cell),
            _ => cell.to_owned(),
        });
        if self.workers.iter().any(|worker| worker.scheduler) {
            text.push_str("* runs schedules and workflows, and prunes old jobs\n");
        }
        for refusal in self.refusals() {
            text.push_str(&format!(
                "{} {refusal}\n",
                style.red("refuses to run plugins:")
            ));
        }
        text + &scale + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(wanted: usize, running: usize, others: usize, supervised: bool) -> String {
        let scale = Scale {
            wanted,
            running,
            others,
            supervised,
        };
        scale.render()
    }

    #[test]
    fn what_happens_next_is_said() {
        let rows = [
            (
                scale(4, 2, 0, true),
                "4 workers wanted; 2 are running, smcp up starts 2 more",
            ),
            (
                scale(1, 3, 0, true),
                "1 worker wanted; 3 are running, smcp up lets 2 end",
            ),
            (scale(2, 2, 0, true), "2 workers wanted; 2 are running"),
            (scale(0, 0, 0, true), "0 workers wanted; none is running"),
            (
                scale(1, 1, 2, true),
                "1 worker wanted; 1 is running; 2 were started otherwise, and not touched",
            ),
            (
                scale(3, 0, 1, false),
                "3 workers wanted, but no smcp up is running, which alone starts and ends workers; \
                 1 was started otherwise, and not touched",
            ),
        ];
        for (said, expected) in rows {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn workers_are_listed_with_what_they_do() {
        let listing = json!({
            "wanted": 1, "running": 1, "others": 0, "supervised": true,
            "workers": [
                {"id": "w-1", "host": "here", "pid": 7, "version": "1.0", "managed": true, "started_at": 0,
                 "last_seen": 58_000, "state": "running", "job": "j", "tool": "a__b", "scheduler": true,
                 "sandbox": {"tier": "isolated", "require": "restricted", "keys": {}}},
                {"id": "w-2", "host": "there", "pid": 8, "version": "1.0", "managed": false, "started_at": 0,
                 "last_seen": 0, "state": "silent", "job": null, "tool": null, "scheduler": false},
                {"id": "w-3", "host": "there", "pid": 9, "version": "1.0", "managed": true, "started_at": 0,
                 "last_seen": 58_000, "state": "idle", "job": null, "tool": null, "scheduler": false,
                 "sandbox": {"tier": "limits_only", "require": "restricted", "refusal": "It is root.", "keys": {}}},
            ],
        });
        let listing = Listing::deserialize(listing).unwrap();
        let expected = "\
ID    STATE    AGE  SEEN   HOST   PID  VERSION  BY    SANDBOX   JOB
w-1*  running  1 m  2.0 s  here   7    1.0      up    isolated  j a__b
w-2   silent   1 m  1 m    there  8    1.0      hand  -         -
w-3   idle     1 m  2.0 s  there  9    1.0      up    refuses   -
* runs schedules and workflows, and prunes old jobs
refuses to run plugins: It is root.
1 worker wanted; 1 is running
";
        let now = Timestamp::from_millis(60_000);
        assert_eq!(listing.render(now, Style::default()), expected);
    }
}
