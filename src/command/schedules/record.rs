//! A schedule as the API tells of it, and as it is shown to people.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use smcp_common::clock::Timestamp;

use crate::duration;
use crate::table::Table;
use crate::terminal::{Style, one_line};

/// What we show of a schedule.
#[derive(Debug, Deserialize)]
pub(super) struct Schedule {
    id: String,
    pub(super) name: String,
    pub(super) agent: String,
    pub(super) state: String,
    pub(super) cron: String,
    pub(super) tz: String,
    reading: String,
    tool: Option<String>,
    #[serde(default)]
    arguments: Value,
    #[serde(default)]
    workflow: Option<Value>,
    pub(super) next: Option<Moment>,
    start_at: Option<String>,
    end_at: Option<String>,
    max_runs: Option<u32>,
    runs: u32,
    jitter_s: f64,
    overlap: String,
    catch_up: String,
    catch_up_window_s: f64,
    retry: Option<Value>,
    priority: i32,
    paused: Option<Paused>,
    #[serde(default)]
    upcoming: Vec<Moment>,
    #[serde(default)]
    ticks: Vec<Tick>,
}

#[derive(Debug, Deserialize)]
struct Paused {
    at: String,
    by: String,
}

#[derive(Debug, Deserialize)]
struct Tick {
    #[serde(rename = "tick")]
    of: Moment,
    kind: String,
    outcome: String,
    job: Option<String>,
    job_state: Option<String>,
    workflow: Option<String>,
    workflow_state: Option<String>,
    detail: Option<String>,
}

/// The answer of `schedules__preview`.
#[derive(Debug, Deserialize)]
pub(super) struct Preview {
    pub(super) reading: String,
    pub(super) upcoming: Vec<Moment>,
}

/// A time of a schedule.
#[derive(Debug, Deserialize)]
pub(super) struct Moment {
    utc: String,
    local: Option<String>,
    weekday: Option<String>,
}

impl Moment {
    /// How it is written where the schedule is: `Mon 2026-11-23 09:00:00 +01:00`.
    fn local(&self) -> String {
        let (Some(local), Some(weekday)) = (&self.local, &self.weekday) else {
            return self.utc.clone();
        };
        let split = || {
            let (date, rest) = local.split_once('T')?;
            let (time, offset) = rest.split_at_checked(rest.len().checked_sub(6)?)?;
            Some(format!("{} {date} {time} {offset}", weekday.get(..3)?))
        };
        split().unwrap_or_else(|| local.clone())
    }

    /// How long it is until then: `in 1 d 20 h`.
    fn distance(&self, now: Timestamp) -> String {
        match Timestamp::parse(&self.utc) {
            Some(at) if at > now => format!("in {}", duration::render(at.since(now))),
            Some(_) => "now".to_owned(),
            None => String::new(),
        }
    }

    /// Both.
    pub(super) fn until(&self, now: Timestamp) -> String {
        format!("{} ({})", self.local(), self.distance(now))
    }

    /// A line each: there, in UTC, and how long until then.
    pub(super) fn lines(moments: &[Self], now: Timestamp) -> String {
        let line = |moment: &Self| {
            let (local, distance) = (moment.local(), moment.distance(now));
            format!("{local}   {}   {distance}\n", moment.utc)
        };
        moments.iter().map(line).collect()
    }
}

/// A schedule's state in the colour of its mood.
pub(super) fn standing(style: Style, state: &str) -> String {
    match state {
        "active" => style.green(state),
        "paused" => style.yellow(state),
        _ => state.to_owned(),
    }
}

impl Schedule {
    /// Reads a schedule that a built-in tool answered with.
    pub(super) fn read(value: &Value) -> anyhow::Result<Self> {
        Self::deserialize(value).context("the schedule cannot be read")
    }

    /// What is run: the tool, or the workflow's name and size.
    pub(super) fn target(&self) -> String {
        let Some(workflow) = &self.workflow else {
            return self.tool.clone().unwrap_or_default();
        };
        let steps = workflow["steps"].as_array().map_or(0, Vec::len);
        match workflow["name"].as_str() {
            Some(name) => format!("{} ({steps} steps)", one_line(name)),
            None => format!("{steps} steps"),
        }
    }

    /// Everything, for people.
    pub(super) fn render(&self, now: Timestamp, style: Style) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            writeln!(text, "{} {value}", style.bold(&format!("{name:<10}"))).unwrap_or_default();
        };
        line("schedule", &self.id);
        line("name", &self.name);
        line("agent", &self.agent);
        let state = standing(style, &self.state);
        let paused = self.paused.as_ref();
        let by = paused.map(|paused| format!(" since {} by {}", paused.at, one_line(&paused.by)));
        line("state", &format!("{state}{}", by.unwrap_or_default()));
        line("cron", &format!("{}  {}", self.cron, self.tz));
        line("reading", &self.reading);
        if self.workflow.is_some() {
            line("workflow", &self.target());
        } else {
            line("tool", &self.target());
            line("arguments", &self.arguments.to_string());
        }
        for (name, instant) in [("start", &self.start_at), ("end", &self.end_at)] {
            if let Some(instant) = instant {
                line(name, instant);
            }
        }
        let most = self.max_runs.map(|most| format!(" of {most}"));
        line(
            "runs",
            &format!("{}{}", self.runs, most.unwrap_or_default()),
        );
        if self.jitter_s > 0.0 {
            line("jitter", &format!("up to {} s", self.jitter_s));
        }
        line("overlap", &self.overlap);
        let window = match self.catch_up.as_str() {
            "none" => String::new(),
            _ => format!(" within {} s", self.catch_up_window_s),
        };
        line("catch-up", &format!("{}{window}", self.catch_up));
        if let Some(retry) = &self.retry {
            line("retry", &retry.to_string());
        }
        line("priority", &self.priority.to_string());
        if !self.upcoming.is_empty() {
            let times = Moment::lines(&self.upcoming, now);
            text.push_str(&format!("\n{}\n{times}", style.bold("NEXT")));
        }
        text.push_str(&self.history(style));
        text
    }

    fn history(&self, style: Style) -> String {
        if self.ticks.is_empty() {
            return String::new();
        }
        let mut table = Table::new(["TIME", "KIND", "OUTCOME", "RUN", "STATE", "WHY"]);
        let or_dash = |job: &Option<String>, workflow: &Option<String>| {
            let text = job.as_ref().or(workflow.as_ref());
            text.cloned().unwrap_or_else(|| "-".to_owned())
        };
        for tick in &self.ticks {
            table.row([
                tick.of.local(),
                tick.kind.clone(),
                tick.outcome.clone(),
                or_dash(&tick.job, &tick.workflow),
                or_dash(&tick.job_state, &tick.workflow_state),
                tick.detail.as_deref().map(one_line).unwrap_or_default(),
            ]);
        }
        let table = table.render(|row, column, cell| match (row, column) {
            (0, _) => style.bold(cell),
            (_, 4) => style.state(cell),
            _ => cell.to_owned(),
        });
        format!("\n{table}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_about_a_schedule_is_shown() {
        let schedule = json!({
            "id": "019a", "name": "weekly", "agent": "ada", "state": "paused", "cron": "0 9 * * 1", "tz": "Europe/Berlin",
            "reading": "At 09:00, on Monday, in Europe/Berlin", "tool": "reports__build", "arguments": {"n": 1},
            "next": null, "last": null, "start_at": "2026-11-01T00:00:00.000Z", "end_at": null, "max_runs": 10, "runs": 2,
            "jitter_s": 1.5, "overlap": "skip", "catch_up": "one", "catch_up_window_s": 3600.0,
            "retry": {"max_attempts": 5}, "priority": 0, "paused": {"at": "2026-11-21T12:00:00.000Z", "by": "bob"},
            "created_at": "", "updated_at": "",
            "upcoming": [{"utc": "2026-11-23T08:00:00Z", "local": "2026-11-23T09:00:00+01:00", "weekday": "Monday"}],
            "ticks": [
                {"tick": {"utc": "2026-11-16T08:00:00Z", "local": "2026-11-16T09:00:00+01:00", "weekday": "Monday"},
                 "kind": "cron", "outcome": "submitted", "job": "019b", "job_state": "succeeded", "detail": null, "at": ""},
                {"tick": {"utc": "2026-11-09T08:00:00Z", "local": null, "weekday": null},
                 "kind": "cron", "outcome": "refused", "job": null, "job_state": null, "detail": "gone\nfor good", "at": ""},
            ],
        });
        let expected = "\
schedule   019a
name       weekly
agent      ada
state      paused since 2026-11-21T12:00:00.000Z by bob
cron       0 9 * * 1  Europe/Berlin
reading    At 09:00, on Monday, in Europe/Berlin
tool       reports__build
arguments  {\"n\":1}
start      2026-11-01T00:00:00.000Z
runs       2 of 10
jitter     up to 1.5 s
overlap    skip
catch-up   one within 3600 s
retry      {\"max_attempts\":5}
priority   0

NEXT
Mon 2026-11-23 09:00:00 +01:00   2026-11-23T08:00:00Z   in 1 d 20 h

TIME                            KIND  OUTCOME    RUN   STATE      WHY
Mon 2026-11-16 09:00:00 +01:00  cron  submitted  019b  succeeded
2026-11-09T08:00:00Z            cron  refused    -     -          gone for good
";
        let now = Timestamp::parse("2026-11-21T12:00:00Z").unwrap();
        let schedule = Schedule::read(&schedule).unwrap();
        assert_eq!(schedule.render(now, Style::default()), expected);
    }
}
