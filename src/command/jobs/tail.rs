//! `smcp jobs tail`: what happens to a job, as it happens.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::approval::list;
use smcp_common::clock::Timestamp;
use smcp_common::config::Environment;
use smcp_common::job::EventKind;

use crate::cli::JobRef;
use crate::client::Client;
use crate::terminal::{Progress, Style, one_line, print};

/// How long one question for news is left open.
const WAIT_S: u64 = 25;

#[derive(Debug, Deserialize)]
struct News {
    events: Vec<Value>,
    last: i64,
    done: bool,
}

#[derive(Debug, Deserialize)]
struct Event {
    at: Timestamp,
    kind: EventKind,
    #[serde(default)]
    data: Value,
}

/// Follows a job to its end; with `--json`, each event is one line.
pub(super) async fn run(client: &mut Client, options: &JobRef) -> anyhow::Result<ExitCode> {
    let environment = Environment::of_process();
    let style = Style::of_stdout(&environment);
    let mut progress = Progress::on_stderr(&environment);
    let mut after = 0;
    loop {
        let question = json!({ "id": options.id, "after": after, "wait_s": WAIT_S });
        let news: News = client.ask_as("jobs__events", question).await?;
        for value in news.events {
            let event = Event::deserialize(&value)?;
            if options.connection.json {
                print(&value.to_string())?;
            } else if event.kind == EventKind::Progress && progress.is_live() {
                let number = |name| event.data[name].as_f64();
                progress.report(
                    number("progress").unwrap_or(0.0),
                    number("total"),
                    event.data["message"].as_str(),
                );
            } else {
                progress.clear();
                print(&event.render(style))?;
            }
        }
        // Not at the first end: a job that is run again has several.
        if news.done {
            return Ok(ExitCode::SUCCESS);
        }
        after = news.last.max(after);
    }
}

impl Event {
    fn render(&self, style: Style) -> String {
        let text = |name: &str| {
            let value = self.data.get(name).filter(|value| !value.is_null())?;
            Some(value.as_str().map_or_else(|| value.to_string(), one_line))
        };
        let or_none = |name| text(name).unwrap_or_default();
        let said = match self.kind {
            EventKind::Queued => "queued".to_owned(),
            EventKind::ApprovalRequested => {
                let groups = self.data["groups"].as_array().into_iter().flatten();
                let groups: Vec<_> = groups
                    .filter_map(|name| Some(one_line(name.as_str()?)))
                    .collect();
                format!("waits for an approval of {}", list(&groups))
            }
            EventKind::ApprovalVoted => {
                let reason = text("reason")
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                let said = match or_none("voice").as_str() {
                    "deny" => "did not approve of it",
                    _ => "approved of it",
                };
                format!("{} {said}{reason}", or_none("by"))
            }
            EventKind::Started => format!(
                "attempt {} started by {}",
                or_none("attempt"),
                or_none("worker")
            ),
            EventKind::Progress => {
                let total = text("total")
                    .map(|total| format!("/{total}"))
                    .unwrap_or_default();
                format!(
                    "progress {}{total} {}",
                    or_none("progress"),
                    or_none("message")
                )
            }
            EventKind::Log => style.dim(&or_none("message")),
            EventKind::Output => style.dim(&format!("{} bytes of output", or_none("bytes"))),
            EventKind::CancelRequested => {
                let reason = text("reason")
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                format!("{} asked to stop it{reason}", or_none("by"))
            }
            EventKind::Requeued if or_none("reason").starts_with("retry asked by ") => {
                format!("queued again: {}", or_none("reason"))
            }
            EventKind::Requeued => format!(
                "attempt {} ended, the job goes on: {}",
                or_none("attempt"),
                or_none("reason")
            ),
            EventKind::Finished => style.state(&or_none("state")),
        };
        format!("{} {}", style.dim(&self.at.to_string()), said.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_told_in_a_line() {
        let rows = [
            ("queued", json!({"run_at": 0}), "queued"),
            (
                "approval_requested",
                json!({"groups": ["dev", "ops"]}),
                "waits for an approval of dev and ops",
            ),
            (
                "approval_voted",
                json!({"by": "ann", "voice": "deny", "reason": "no"}),
                "ann did not approve of it: no",
            ),
            (
                "started",
                json!({"attempt": 1, "worker": "w1"}),
                "attempt 1 started by w1",
            ),
            (
                "progress",
                json!({"progress": 3, "total": 10, "message": "copying"}),
                "progress 3/10 copying",
            ),
            ("progress", json!({"progress": 0.5}), "progress 0.5"),
            ("log", json!({"message": "warm\u{7}\nup"}), "warm  up"),
            ("output", json!({"bytes": 12}), "12 bytes of output"),
            (
                "cancel_requested",
                json!({"by": "ci", "reason": null}),
                "ci asked to stop it",
            ),
            (
                "cancel_requested",
                json!({"by": "ci", "reason": "slow"}),
                "ci asked to stop it: slow",
            ),
            (
                "requeued",
                json!({"attempt": 1, "reason": "worker_lost"}),
                "attempt 1 ended, the job goes on: worker_lost",
            ),
            (
                "requeued",
                json!({"attempt": 1, "reason": "retry asked by operator"}),
                "queued again: retry asked by operator",
            ),
            ("finished", json!({"state": "failed"}), "failed"),
        ];
        for (kind, data, expected) in rows {
            let event: Event =
                serde_json::from_value(json!({"at": 0, "kind": kind, "data": data})).unwrap();
            assert_eq!(
                event.render(Style::default()),
                format!("1970-01-01T00:00:00.000Z {expected}")
            );
        }
    }
}
