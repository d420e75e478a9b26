//! Progress as MCP wants it: a number that grows with everything that is said, whatever the plugin counts.

use serde_json::Value;
use smcp_common::approval::{Voice, list};
use smcp_common::clock::Timestamp;
use smcp_common::job::{EventKind, JobEvent};

/// By which part of itself a count grows for a message between two counts of the plugin.
const MESSAGE: f64 = 1e-9;
/// By which part of itself it grows for a sign of life; there may be a million of them between two messages.
const SIGN_OF_LIFE: f64 = 1e-15;

/// Turns news into progress that always grows, as MCP demands, whatever the plugin counts.
///
/// What it says of an event depends on the events before it alone, not on when they were read: every process that
/// follows a job tells the same.
#[derive(Debug, Default)]
pub(super) struct Meter {
    progress: Option<f64>,
    total: Option<f64>,
    /// The plugin counts by itself.
    counted: bool,
    /// Signs of life since the last event.
    signs: u32,
}

/// One step of progress.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) progress: f64,
    pub(super) total: Option<f64>,
    pub(super) message: Option<String>,
}

impl Meter {
    /// What an event means to whoever waits; most mean nothing.
    pub(super) fn step(&mut self, event: &JobEvent) -> Option<Step> {
        if !matches!(
            event.kind,
            EventKind::Progress
                | EventKind::Log
                | EventKind::Requeued
                | EventKind::ApprovalRequested
                | EventKind::ApprovalVoted
        ) {
            return None;
        }
        let number = |key: &str| event.data.get(key).and_then(Value::as_f64);
        let message = event
            .data
            .get("message")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
        let message = match event.kind {
            EventKind::Requeued => Some(requeued(&event.data)),
            EventKind::ApprovalRequested => Some(approval_requested(&event.data)),
            EventKind::ApprovalVoted => Some(approval_voted(&event.data)),
            EventKind::Queued
            | EventKind::Started
            | EventKind::Progress
            | EventKind::Log
            | EventKind::Output
            | EventKind::CancelRequested
            | EventKind::Finished => message,
        };
        let counted = number("progress");
        self.counted |= counted.is_some();
        self.total = number("total").or(self.total);
        let progress = match (self.progress, counted) {
            (None, Some(counted)) => counted,
            (None, None) => 0.0,
            (Some(before), Some(counted)) if counted > before => counted,
            (Some(before), _) if self.counted => before + before.abs().max(1.0) * MESSAGE,
            (Some(before), _) => before + 1.0,
        };
        self.progress = Some(progress);
        self.signs = 0;
        Some(Step {
            progress,
            total: self.total,
            message,
        })
    }

    /// Says that nothing has happened, which is less than anything that may happen next.
    pub(super) fn sign_of_life(&mut self, message: String) -> Step {
        self.signs = self.signs.saturating_add(1);
        let before = self.progress.unwrap_or(-1.0);
        Step {
            progress: before + before.abs().max(1.0) * SIGN_OF_LIFE * f64::from(self.signs),
            total: self.total,
            message: Some(message),
        }
    }
}

/// Why a job is queued again. Its time is told as an instant, so that it means the same whenever it is read.
fn requeued(data: &Value) -> String {
    let run_at = data["run_at"].as_i64().map(Timestamp::from_millis);
    let next = run_at.map_or_else(
        || "the job is queued again".to_owned(),
        |at| format!("the next one begins at {at} or later"),
    );
    let attempt = data["attempt"].as_u64().unwrap_or_default();
    match data["reason"].as_str().unwrap_or_default() {
        "failed" => format!("Attempt {attempt} failed; {next}."),
        "snoozed" => format!("Attempt {attempt} asks for more time; {next}."),
        "worker_lost" => format!("The worker died during attempt {attempt}; {next}."),
        "released" | "interrupted" => {
            format!("Attempt {attempt} broke off, since its worker was stopped; {next}.")
        }
        // By whom it was asked for.
        asked => format!("The job is queued again: {asked}."),
    }
}

/// Whom the job waits for.
fn approval_requested(data: &Value) -> String {
    let groups = data["groups"].as_array().into_iter().flatten();
    let groups: Vec<_> = groups
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect();
    let until = data["expires_at"].as_i64().map(Timestamp::from_millis);
    let until = until.map_or_else(String::new, |until| format!(" until {until}"));
    let of = match data["approvals"].as_u64() {
        None | Some(1) => String::new(),
        Some(approvals) => format!(" of {approvals}"),
    };
    format!(
        "The job waits for the approval{of} of {}{until}.",
        list(&groups)
    )
}

/// Who has said what.
fn approval_voted(data: &Value) -> String {
    let by = data["by"].as_str().unwrap_or("somebody");
    let reason = data["reason"].as_str().map(|reason| format!(": {reason}"));
    let reason = reason.unwrap_or_default();
    if data["voice"].as_str() == Some(Voice::Deny.as_str()) {
        return format!("{by} did not approve of the job{reason}.");
    }
    format!(
        "{by} approved of the job ({} of {}){reason}.",
        data["given"], data["approvals"]
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use smcp_common::job::JobId;

    use super::*;

    fn steps(news: &[(EventKind, Value)]) -> Vec<Step> {
        let mut meter = Meter::default();
        let step = |(kind, data): &(EventKind, Value)| {
            let (job, at) = (JobId::random(), Timestamp::from_millis(0));
            meter.step(&JobEvent {
                seq: 1,
                job,
                at,
                kind: *kind,
                data: data.clone(),
            })
        };
        news.iter().filter_map(step).collect()
    }

    #[test]
    fn what_the_plugin_counts_is_passed_on_and_always_grows() {
        let said = steps(&[
            (EventKind::Started, json!({"attempt": 1})),
            (EventKind::Progress, json!({"progress": 1, "total": 3})),
            (EventKind::Log, json!({"message": "a line"})),
            (
                EventKind::Progress,
                json!({"progress": 2, "message": "two"}),
            ),
            (EventKind::Progress, json!({"progress": 1})),
        ]);
        assert_eq!(
            said[0],
            Step {
                progress: 1.0,
                total: Some(3.0),
                message: None
            }
        );
        assert_eq!(said[1].message.as_deref(), Some("a line"));
        assert_eq!(
            said[2],
            Step {
                progress: 2.0,
                total: Some(3.0),
                message: Some("two".into())
            }
        );
        assert!(
            said.windows(2)
                .all(|pair| pair[1].progress > pair[0].progress),
            "{said:?}"
        );
        assert!(said[3].progress < 2.001);
    }

    #[test]
    fn signs_of_life_grow_and_stay_below_what_comes_next() {
        let event = |kind, data| JobEvent {
            seq: 1,
            job: JobId::random(),
            at: Timestamp::from_millis(0),
            kind,
            data,
        };
        let counts = [0.0, 1.0, 0.001, 12_345_678.0];
        let starts = counts.map(|count| event(EventKind::Progress, json!({"progress": count})));
        let line = || event(EventKind::Log, json!({"message": "x"}));
        for start in starts.iter().map(Some).chain([None]) {
            let mut meter = Meter::default();
            let mut last = start.map_or(f64::MIN, |start| meter.step(start).unwrap().progress);
            for n in 0..10_000 {
                let sign = meter.sign_of_life(String::new()).progress;
                assert!(sign > last, "{n} signs of life after {start:?}");
                last = sign;
            }
            assert!(meter.step(&line()).unwrap().progress > last, "{start:?}");
        }
    }

    #[test]
    fn lines_alone_are_counted() {
        let line = || (EventKind::Log, json!({"message": "x"}));
        let said = steps(&[line(), line(), line()]);
        assert_eq!(
            said.iter().map(|step| step.progress).collect::<Vec<_>>(),
            [0.0, 1.0, 2.0]
        );
    }
}
