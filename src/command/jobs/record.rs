//! A job as the API tells of it, and as it is shown to people.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use smcp_common::clock::Timestamp;
use smcp_common::job::Failure;
use smcp_common::sandbox::Confinement;

use crate::duration;
use crate::table::Table;
use crate::terminal::{Style, one_line};

/// Lines of a result that are shown; `smcp jobs output` has them all.
const RESULT_LINES: usize = 20;

/// What we show of a job.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) tool: String,
    pub(super) agent: String,
    pub(super) state: String,
    pub(super) lane: Option<String>,
    priority: i32,
    arguments: Value,
    idempotency_key: Option<String>,
    #[serde(default)]
    origin: Option<Origin>,
    cancel: Option<Cancel>,
    #[serde(default)]
    attempts: Vec<Attempt>,
    error: Option<Failure>,
    /// What there is to know beside how it ended.
    #[serde(default)]
    warning: Option<Failure>,
    /// Why it does not run, what must change first in front.
    #[serde(default)]
    waiting: Vec<Reason>,
    #[serde(default)]
    result: Option<Answer>,
    pub(super) created_at: Timestamp,
    run_at: Timestamp,
    finished_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    message: String,
}

/// What the job is a part of: a run of a schedule, or a step of a workflow.
#[derive(Debug, Deserialize)]
struct Origin {
    schedule: Option<String>,
    workflow: Option<String>,
    step: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Cancel {
    at: Timestamp,
    by: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    n: u32,
    worker: String,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    outcome: Option<String>,
    error: Option<Failure>,
    #[serde(default)]
    sandbox: Option<Confinement>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    is_error: bool,
    text: String,
}

impl Job {
    /// Reads a job that a built-in tool answered with.
    pub(super) fn read(value: &Value) -> anyhow::Result<Self> {
        Self::deserialize(value).context("the job cannot be read")
    }

    /// Everything, for people.
    pub(super) fn render(&self, style: Style) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            writeln!(text, "{} {value}", style.bold(&format!("{name:<10}"))).unwrap_or_default();
        };
        line("job", &self.id);
        line("tool", &self.tool);
        line("state", &style.state(&self.state));
        for reason in &self.waiting {
            line("waits", &style.yellow(&one_line(&reason.message)));
        }
        line("agent", &self.agent);
        line(
            "lane",
            self.lane
                .as_deref()
                .unwrap_or("none: it runs beside anything"),
        );
        line("priority", &self.priority.to_string());
        if let Some(origin) = &self.origin {
            if let Some(schedule) = &origin.schedule {
                line("schedule", schedule);
            }
            if let (Some(workflow), Some(step)) = (&origin.workflow, &origin.step) {
                line("workflow", &format!("{workflow}, step {step}"));
            }
        }
        if let Some(key) = &self.idempotency_key {
            line("key", &one_line(key));
        }
        line("created", &self.created_at.to_string());
        if self.run_at > self.created_at {
            line("run at", &self.run_at.to_string());
        }
        if let Some(finished) = self.finished_at {
            let took = duration::render(finished.since(self.created_at));
            line(
                "finished",
                &format!("{finished} ({took} after it was created)"),
            );
        }
        if let Some(cancel) = &self.cancel {
            let reason = cancel
                .reason
                .as_ref()
                .map(|reason| format!(": {}", one_line(reason)))
                .unwrap_or_default();
            line(
                "cancel",
                &format!("asked by {} at {}{reason}", cancel.by, cancel.at),
            );
        }
        line("arguments", &self.arguments.to_string());
        if let Some(Failure { code, message }) = &self.error {
            line("why", &format!("{code}: {}", message.trim_end()));
        }
        if let Some(Failure { code, message }) = &self.warning {
            line("warning", &style.yellow(&format!("{code}: {message}")));
        }
        text.push_str(&self.attempts(style));
        text.push_str(&self.result(style));
        text
    }

    /// How it ended, in one line.
    pub(super) fn ending(&self, style: Style) -> String {
        let why = self
            .error
            .as_ref()
            .map(|error| format!(": {}", error.message.trim_end()))
            .unwrap_or_default();
        format!("{}{why}\n", style.state(&self.state))
    }

    fn attempts(&self, style: Style) -> String {
        if self.attempts.is_empty() {
            return String::new();
        }
        let mut table = Table::new(["ATTEMPT", "WORKER", "STARTED", "TOOK", "OUTCOME", "ERROR"]);
        for attempt in &self.attempts {
            let took = attempt
                .ended_at
                .map(|ended| duration::render(ended.since(attempt.started_at)));
            let error = attempt.error.as_ref().map(|error| one_line(&error.message));
            table.row([
                attempt.n.to_string(),
                attempt.worker.clone(),
                attempt.started_at.to_string(),
                took.unwrap_or_else(|| "-".to_owned()),
                attempt
                    .outcome
                    .clone()
                    .unwrap_or_else(|| "running".to_owned()),
                error.unwrap_or_default(),
            ]);
        }
        let table = table.render(|row, column, cell| match (row, column) {
            (0, _) => style.bold(cell),
            (_, 4) => style.state(cell),
            _ => cell.to_owned(),
        });
        format!("\n{table}{}", self.sandboxes(style))
    }

    /// What held each attempt, a line each; those that had no process have none.
    fn sandboxes(&self, style: Style) -> String {
        let mut text = String::new();
        for attempt in &self.attempts {
            let Some(confinement) = &attempt.sandbox else {
                continue;
            };
            let name = match self.attempts.len() {
                1 => "sandbox".to_owned(),
                _ => format!("sandbox {}", attempt.n),
            };
            let name = style.bold(&format!("{name:<10}"));
            text.push_str(&format!("{name} {}\n", confined(confinement, style)));
        }
        text
    }

    fn result(&self, style: Style) -> String {
        let Some(answer) = &self.result else {
            return String::new();
        };
        let name = if answer.is_error {
            "ERROR RESULT"
        } else {
            "RESULT"
        };
        let mut text = format!("\n{}\n", style.bold(name));
        let mut lines = answer.text.lines();
        for line in lines.by_ref().take(RESULT_LINES) {
            text.push_str(&one_line(line));
            text.push('\n');
        }
        if lines.next().is_some() {
            writeln!(
                text,
                "{}",
                style.dim(&format!("… smcp jobs output {} has it all", self.id))
            )
            .unwrap_or_default();
        }
        text
    }
}

/// `isolated (T2), warm: mount namespace; seccomp   partial: memory`
fn confined(confinement: &Confinement, style: Style) -> String {
    let Confinement {
        tier,
        by,
        partial,
        start,
        cold_because,
    } = confinement;
    let mut text = format!("{tier} ({}), {}", tier.number(), start.as_str());
    if let Some(reason) = cold_because {
        text.push_str(&format!(" ({})", one_line(reason)));
    }
    if !by.is_empty() {
        text.push_str(&format!(": {}", one_line(&by.join("; "))));
    }
    if !partial.is_empty() {
        let keys: Vec<_> = partial.iter().map(|key| key.as_str()).collect();
        let keys = format!("partial: {}", keys.join(", "));
        text.push_str(&format!("   {}", style.yellow(&keys)));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Value {
        json!({
            "id": "019a", "tool": "devops__deploy", "plugin": "devops", "agent": "ci", "source": "call",
            "state": "failed", "lane": null, "priority": 5, "effect": "once", "run_at": 60_000,
            "arguments": {"environment": "staging", "n": 1}, "timeout_ms": 300_000, "max_attempts": 1,
            "idempotency_key": "deploy-42", "cancel": {"at": 61_000, "by": "operator", "reason": "too\nslow"},
            "origin": {"workflow": "019c", "step": "deploy"},
            "attempts": [
                {"n": 1, "worker": "w1", "started_at": 60_000, "ended_at": 61_500, "outcome": "failed",
                 "error": {"code": "timeout", "message": "too long\n"},
                 "sandbox": {"tier": "isolated", "by": ["mount, pid, net namespaces", "Landlock ABI 7", "seccomp"],
                             "partial": ["memory", "cpu"], "start": "warm"}},
                {"n": 2, "worker": "w2", "started_at": 62_000, "ended_at": null, "outcome": null, "error": null},
            ],
            "error": {"code": "timeout", "message": "too long\n"}, "output_bytes": 3, "output_truncated": true,
            "warning": {"code": "output_truncated", "message": "too much"},
            "created_at": 0, "finished_at": 61_500,
            "result": {"is_error": true, "text": "a\u{1b}[2Jb\n", "structured": null},
        })
    }

    #[test]
    fn everything_about_a_job_is_shown() {
        let expected = "\
job        019a
tool       devops__deploy
state      failed
agent      ci
lane       none: it runs beside anything
priority   5
workflow   019c, step deploy
key        deploy-42
created    1970-01-01T00:00:00.000Z
run at     1970-01-01T00:01:00.000Z
finished   1970-01-01T00:01:01.500Z (1 m 1 s after it was created)
cancel     asked by operator at 1970-01-01T00:01:01.000Z: too slow
arguments  {\"environment\":\"staging\",\"n\":1}
why        timeout: too long
warning    output_truncated: too much

ATTEMPT  WORKER  STARTED                   TOOK   OUTCOME  ERROR
1        w1      1970-01-01T00:01:00.000Z  1.5 s  failed   too long
2        w2      1970-01-01T00:01:02.000Z  -      running
sandbox 1  isolated (T2), warm: mount, pid, net namespaces; Landlock ABI 7; seccomp   partial: memory, cpu

ERROR RESULT
a [2Jb
";
        assert_eq!(
            Job::read(&job()).unwrap().render(Style::default()),
            expected
        );
    }

    #[test]
    fn what_held_the_only_attempt_is_told_without_its_number() {
        let mut once = job();
        once["attempts"].as_array_mut().unwrap().truncate(1);
        once["attempts"][0]["sandbox"] = json!({"tier": "limits_only", "by": [], "start": "cold"});
        let text = Job::read(&once).unwrap().render(Style::default());
        assert!(
            text.contains("\nsandbox    limits_only (T0), cold\n"),
            "{text}"
        );
    }

    #[test]
    fn why_a_job_waits_is_shown_below_its_state() {
        let mut waiting = job();
        waiting["state"] = json!("queued");
        waiting["waiting"] = json!([{"code": "no_worker", "message": "No worker is alive."},
                                    {"code": "behind", "message": "It is number 2."}]);
        let text = Job::read(&waiting).unwrap().render(Style::default());
        let expected = "\
state      queued
waits      No worker is alive.
waits      It is number 2.
agent      ci
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_long_result_is_cut_with_the_way_to_the_rest() {
        let mut long = job();
        long["result"] =
            json!({"is_error": false, "text": "x\n".repeat(RESULT_LINES + 1), "structured": null});
        let text = Job::read(&long).unwrap().render(Style::default());
        assert!(
            text.ends_with("x\n… smcp jobs output 019a has it all\n"),
            "{text}"
        );
    }

    #[test]
    fn the_end_is_told_in_a_line() {
        assert_eq!(
            Job::read(&job()).unwrap().ending(Style::default()),
            "failed: too long\n"
        );
    }
}
