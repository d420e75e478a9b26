//! ⑨ Following a job to its end for the caller of a tool, who gets its progress and its log as they come.

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::RequestContext;
use serde_json::Value;
use smcp_common::job::{EventKind, JobEvent};

use crate::app::App;
use crate::refusal::Refusal;
use crate::submit::Ticket;

/// Events that are read at once.
const PAGE: u32 = 200;

/// Follows one job.
#[derive(Debug)]
pub(super) struct Reporter<'a> {
    app: &'a App,
    ticket: &'a Ticket,
    context: &'a RequestContext<RoleServer>,
    token: Option<ProgressToken>,
    meter: Meter,
    seen: i64,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(app: &'a App, ticket: &'a Ticket, context: &'a RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        Self { app, ticket, context, token, meter: Meter::default(), seen: 0 }
    }

    /// Returns when the job has ended.
    pub(super) async fn follow(&mut self) -> Result<(), Refusal> {
        loop {
            let events = self.app.queue.events(&self.ticket.job, self.seen, PAGE)?;
            let (last, full) = (events.last().map(|event| event.seq), events.len() == PAGE as usize);
            for event in events {
                if event.kind == EventKind::Finished {
                    return Ok(());
                }
                self.report(&event).await;
            }
            self.seen = last.unwrap_or(self.seen);
            if !full {
                self.ticket.news.news().await;
            }
        }
    }

    async fn report(&mut self, event: &JobEvent) {
        let Some(token) = &self.token else { return };
        let Some(step) = self.meter.step(event) else { return };
        let mut params = ProgressNotificationParam::new(token.clone(), step.progress);
        (params.total, params.message) = (step.total, step.message);
        if let Err(error) = self.context.peer.notify_progress(params).await {
            // The client has gone; the job goes on, and the answer will find nobody either.
            tracing::debug!(error = &error as &dyn std::error::Error, "progress could not be sent");
        }
    }
}

/// Turns news into progress that always grows, as MCP demands, whatever the plugin counts.
#[derive(Debug, Default)]
struct Meter {
    progress: Option<f64>,
    total: Option<f64>,
    /// The plugin counts by itself.
    counted: bool,
}

#[derive(Debug, PartialEq)]
struct Step {
    progress: f64,
    total: Option<f64>,
    message: Option<String>,
}

impl Meter {
    fn step(&mut self, event: &JobEvent) -> Option<Step> {
        if !matches!(event.kind, EventKind::Progress | EventKind::Log | EventKind::Requeued) {
            return None;
        }
        let number = |key: &str| event.data.get(key).and_then(Value::as_f64);
        let message = event.data.get("message").and_then(Value::as_str).map(ToOwned::to_owned);
        let message = message.or_else(|| {
            (event.kind == EventKind::Requeued).then(|| "The attempt broke off; the job is queued again.".to_owned())
        });
        let counted = number("progress");
        self.counted |= counted.is_some();
        self.total = number("total").or(self.total);
        let progress = match (self.progress, counted) {
            (None, Some(counted)) => counted,
            (None, None) => 0.0,
            (Some(before), Some(counted)) if counted > before => counted,
            // A message between two counts: as little more as a number can be.
            (Some(before), _) if self.counted => before.next_up(),
            (Some(before), _) => before + 1.0,
        };
        self.progress = Some(progress);
        Some(Step { progress, total: self.total, message })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use smcp_common::clock::Timestamp;
    use smcp_common::job::JobId;

    use super::*;

    fn steps(news: &[(EventKind, Value)]) -> Vec<Step> {
        let mut meter = Meter::default();
        let step = |(kind, data): &(EventKind, Value)| {
            let (job, at) = (JobId::random(), Timestamp::from_millis(0));
            meter.step(&JobEvent { seq: 1, job, at, kind: *kind, data: data.clone() })
        };
        news.iter().filter_map(step).collect()
    }

    #[test]
    fn what_the_plugin_counts_is_passed_on_and_always_grows() {
        let said = steps(&[
            (EventKind::Started, json!({"attempt": 1})),
            (EventKind::Progress, json!({"progress": 1, "total": 3})),
            (EventKind::Log, json!({"message": "a line"})),
            (EventKind::Progress, json!({"progress": 2, "message": "two"})),
            (EventKind::Progress, json!({"progress": 1})),
        ]);
        assert_eq!(said[0], Step { progress: 1.0, total: Some(3.0), message: None });
        assert_eq!(said[1].message.as_deref(), Some("a line"));
        assert_eq!(said[2], Step { progress: 2.0, total: Some(3.0), message: Some("two".into()) });
        assert!(said.windows(2).all(|pair| pair[1].progress > pair[0].progress), "{said:?}");
        assert!(said[3].progress < 2.001);
    }

    #[test]
    fn lines_alone_are_counted() {
        let line = || (EventKind::Log, json!({"message": "x"}));
        let said = steps(&[line(), line(), line()]);
        assert_eq!(said.iter().map(|step| step.progress).collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
    }
}
