//! A run of a schedule as a job.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Schedule;
use crate::job::{JobId, NewJob, Origin, Source};
use crate::plugin::{Order, Tool, normalise};

/// Why a run is allowed, for the audit record: its arguments and its owner were checked when the schedule was.
const RULE: &str = "builtin:schedules-run-as-their-owner";

impl Schedule {
    /// The job of one run: of `tool` as it is now, as the schedule's owner. `default_timeout` is for tools that declare
    /// none.
    pub fn job(
        &self,
        tool: &Tool,
        arguments: &Map<String, Value>,
        default_timeout: Option<Duration>,
    ) -> NewJob {
        let order = Order {
            id: JobId::random(),
            agent: self.agent.clone(),
            source: Source::Schedule,
            origin: Some(Origin::Schedule {
                schedule: self.id.clone(),
            }),
            arguments: normalise(tool, arguments.clone()),
            idempotency_key: None,
            run_at: None,
            priority: self.spec.priority,
            retry: self.spec.retry.clone(),
            rules: vec![RULE.to_owned()],
        };
        tool.job(order, default_timeout)
    }
}
