//! Which jobs an operator means, what would be done to them, and what has been done: what the tools for many jobs share.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::job::{JobId, StateName};
use smcp_common::queue::{Each, Match, Obstacle, Selection};

use crate::app::App;
use crate::refusal::Refusal;

/// Jobs that one call changes at the most.
const MAX_JOBS: u32 = 100_000;
/// The same where the call does not say.
const DEFAULT_JOBS: u32 = 10_000;
/// Ids that are shown of those that would be changed.
const SAMPLE: usize = 10;
/// Skipped jobs that are told one by one.
const SKIPS: usize = 100;
/// Tools that a message names; the answer has them all.
const NAMED: usize = 5;

/// The parameters that tell which jobs are meant.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    tool: Option<String>,
    lane: Option<String>,
    plugin: Option<String>,
    error_code: Option<String>,
    older_than_s: Option<u64>,
    newer_than_s: Option<u64>,
    #[serde(default = "default_limit")]
    limit: u32,
}

const fn default_limit() -> u32 {
    DEFAULT_JOBS
}

/// What those parameters are, in a schema.
pub(super) fn parameters() -> Value {
    json!({
        "tool": {"type": "string", "minLength": 1, "description": "Only jobs of tools of that name; * stands for any text, ? for any character."},
        "lane": {"type": "string", "minLength": 1, "description": "Only jobs in this lane."},
        "plugin": {"type": "string", "minLength": 1, "description": "Only jobs of this plugin."},
        "older_than_s": {"type": "integer", "minimum": 0,
                         "description": "Only jobs that were recorded, or have ended, more than so many seconds ago."},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_JOBS, "default": DEFAULT_JOBS,
                  "description": "At most so many, oldest first."},
    })
}

/// The parameters by which a call is tried and confirmed.
pub(super) fn consent() -> Value {
    json!({
        "dry_run": {"type": "boolean", "default": false, "description": "Only tell what would be done."},
        "confirm": {"type": "boolean", "default": false,
                    "description": "Must be true to do it; without, the call is refused and tells what it would do."},
    })
}

/// One schema's properties of several.
pub(super) fn merged<const N: usize>(parts: [Value; N]) -> Value {
    let mut properties = json!({});
    for part in parts {
        for (name, property) in part.as_object().into_iter().flatten() {
            properties[name] = property.clone();
        }
    }
    properties
}

impl Which {
    /// True where it names no tool, lane or plugin.
    pub(super) fn is_everything(&self) -> bool {
        self.tool.is_none() && self.lane.is_none() && self.plugin.is_none()
    }

    /// The jobs in `state` that are meant.
    ///
    /// # Errors
    /// Database errors.
    pub(super) async fn find(self, app: &App, state: StateName) -> Result<Found, Refusal> {
        let now = app.queue.clock().now();
        let ago = |seconds: u64| -> Timestamp { now.minus(Duration::from_secs(seconds)) };
        let tools = app.tools.current(&app.queue)?;
        let limit = self.limit;
        let mut jobs = app
            .queue
            .select(Selection {
                state,
                tool: self.tool.map(|tool| tools.own_name(tool)),
                lane: self.lane,
                plugin: self.plugin,
                error_code: self.error_code,
                before: self.older_than_s.map(ago),
                since: self.newer_than_s.map(ago),
                limit: limit.saturating_add(1),
            })
            .await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = jobs.len() > limit;
        jobs.truncate(limit);
        Ok(Found { jobs, has_more })
    }
}

/// The jobs that are meant.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) jobs: Vec<Match>,
    /// There are more than the limit allows.
    has_more: bool,
}

impl Found {
    /// Their ids.
    pub(super) fn ids(&self) -> Vec<JobId> {
        self.jobs.iter().map(|job| job.id.clone()).collect()
    }

    /// What would be done, and to what.
    pub(super) fn plan(&self) -> Value {
        let sample: Vec<_> = self.jobs.iter().take(SAMPLE).map(|job| &job.id).collect();
        json!({
            "matched": self.jobs.len(),
            "more": self.has_more,
            "by_tool": self.by_tool(),
            "sample": sample,
        })
    }

    /// The refusal of what nobody has confirmed; `deed` is what would be done, as in "cancel 3 queued jobs".
    pub(super) fn unconfirmed(&self, tool: &str, verb: &str, kind: &str) -> Refusal {
        let count = self.jobs.len();
        let jobs = if count == 1 { "job" } else { "jobs" };
        let mut of = String::new();
        let by_tool = self.by_tool();
        for (n, (tool, count)) in by_tool.iter().enumerate().take(NAMED) {
            let comma = if n == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            write!(of, "{comma}{count} of {tool}").unwrap_or_default();
        }
        if by_tool.len() > NAMED {
            of.push_str(", …");
        }
        if !of.is_empty() {
            of = format!(" ({of})");
        }
        let message = format!(
            "{tool} would {verb} {count} {kind} {jobs}{of}. Nothing has been done: call it again with confirm=true to do it, \
             or with dry_run=true to see more."
        );
        Refusal {
            code: "confirmation_required",
            message,
            details: Some(self.plan()),
        }
    }

    fn by_tool(&self) -> BTreeMap<&str, usize> {
        let mut by_tool = BTreeMap::new();
        for job in &self.jobs {
            *by_tool.entry(job.tool.as_str()).or_default() += 1;
        }
        by_tool
    }

    /// What has been done, `done` being its name. `each` has the jobs that were tried, `skipped` those that were not.
    pub(super) fn outcome(&self, done: &str, each: Each, skipped: Vec<(JobId, Skip)>) -> Value {
        let refused = each
            .into_iter()
            .filter_map(|(id, became)| Some((id, Skip::from(became.err()?))));
        let skipped: Vec<_> = skipped.into_iter().chain(refused).collect();
        let mut answer = self.plan();
        answer[done] = (self.jobs.len() - skipped.len()).into();
        answer["skipped_total"] = skipped.len().into();
        let told = skipped.iter().take(SKIPS).map(|(id, skip)| skip.told(id));
        answer["skipped"] = told.collect();
        answer
    }
}

/// Why a job was left as it was.
#[derive(Debug)]
pub(super) struct Skip {
    pub(super) code: &'static str,
    /// A part of a sentence.
    pub(super) reason: String,
}

impl From<Obstacle> for Skip {
    fn from(obstacle: Obstacle) -> Self {
        Self {
            code: obstacle.code(),
            reason: obstacle.to_string(),
        }
    }
}

impl Skip {
    /// A job whose tool is gone.
    pub(super) fn tool_removed(tool: &str) -> Self {
        Self {
            code: "tool_removed",
            reason: format!("there is no tool {tool} any more"),
        }
    }

    /// The skipped job, in the answer.
    pub(super) fn told(&self, id: &JobId) -> Value {
        json!({"id": id, "code": self.code, "reason": self.reason})
    }

    /// The same where it is about this job alone.
    pub(super) fn refuse(self, id: &JobId, verb: &str) -> Refusal {
        let Self { code, reason } = self;
        Refusal::new(code, format!("Job {id} cannot be {verb}: {reason}."))
    }
}
