//! A schedule as it is asked for, kept and shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Cron, CronError, Due};
use crate::canonical;
use crate::clock::Timestamp;
use crate::job::{JobId, Retry};
use crate::workflow::{Definition, WorkflowId};

/// What a schedule runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// A tool of a plugin, by its own name, with the arguments as its caller gave them.
    Tool {
        /// `plugin__command`.
        tool: String,
        /// They are completed with the tool's defaults at each run.
        arguments: Map<String, Value>,
    },
    /// A workflow, which has been checked.
    Workflow {
        /// What it is to do.
        workflow: Box<Definition>,
        /// The rules that allow each of its tools.
        rules: BTreeMap<String, Vec<String>>,
    },
}

impl Target {
    /// What is run, for people and records.
    pub fn name(&self) -> &str {
        match self {
            Self::Tool { tool, .. } => tool,
            Self::Workflow { workflow, .. } => workflow.name.as_deref().unwrap_or("a workflow"),
        }
    }

    /// The digest of what is run: arguments never leave the schedule and its jobs.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::Tool { tool, arguments } => canonical::digest(tool, arguments),
            Self::Workflow { workflow, .. } => {
                // A definition is an object of ours: it does not fail.
                let object = serde_json::to_value(workflow).ok();
                let object = object.as_ref().and_then(Value::as_object);
                canonical::digest("workflow", object.unwrap_or(&Map::new()))
            }
        }
    }
}

/// What happens at a tick while the run before is still going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The tick is skipped.
    #[default]
    Skip,
    /// It is run as soon as the run before has ended.
    Queue,
    /// The run before is cancelled.
    Replace,
}

impl Overlap {
    /// Every policy, in the order of the documents.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Queue, Self::Replace];

    /// What becomes of a tick, if the run before is going on, and so many ticks wait already.
    pub const fn decide(self, is_running: bool, waiting: u32) -> Step {
        match self {
            Self::Skip if is_running => Step::Skip,
            Self::Queue if waiting >= MAX_WAITING => Step::Skip,
            Self::Queue if is_running || waiting > 0 => Step::Wait,
            Self::Replace if is_running => Step::Replace,
            Self::Skip | Self::Queue | Self::Replace => Step::Submit,
        }
    }

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Replace => "replace",
        }
    }
}

/// The most ticks of a schedule that wait for the run before.
pub const MAX_WAITING: u32 = 100;

/// What becomes of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A job.
    Submit,
    /// It waits for the end of the run before.
    Wait,
    /// Nothing.
    Skip,
    /// A job, when the run before has been cancelled.
    Replace,
}

/// Which of the ticks that passed while no worker was there are run after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// None of them.
    #[default]
    None,
    /// The newest one, where it is within the window.
    One,
    /// Each within the window.
    All,
}

impl CatchUp {
    /// Every policy, in the order of the documents.
    pub const ALL: [Self; 3] = [Self::None, Self::One, Self::All];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::One => "one",
            Self::All => "all",
        }
    }
}

/// What the owner of a schedule decides. Everything in it has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The expression, as given.
    pub cron: String,
    /// An IANA time zone.
    pub zone: String,
    /// What is run.
    pub target: Target,
    /// No tick is before it.
    pub start_at: Option<Timestamp>,
    /// No tick is after it.
    pub end_at: Option<Timestamp>,
    /// So many ticks become runs at the most.
    pub max_runs: Option<u32>,
    /// Each run starts up to so much later than its tick, by chance.
    pub jitter: Duration,
    /// What happens while the run before is going on.
    pub overlap: Overlap,
    /// What happens to missed ticks.
    pub catch_up: CatchUp,
    /// Missed ticks older than that are given up in any case.
    pub catch_up_window: Duration,
    /// The policy of each run, in the place of the tool's.
    pub retry: Option<Retry>,
    /// The priority of each run: −100 to 100.
    pub priority: i32,
}

impl Spec {
    /// The expression, ready to be asked.
    ///
    /// # Errors
    /// [`CronError`], where this version of the program does not know the expression or the zone any more.
    pub fn cron(&self) -> Result<Cron, CronError> {
        Cron::read(&self.cron, &self.zone)
    }

    /// Whether so many runs are all that there may be.
    pub fn is_spent(&self, runs: u32) -> bool {
        self.max_runs.is_some_and(|most| runs >= most)
    }

    /// Whether its ticks are those of `other`.
    pub fn has_ticks_of(&self, other: &Self) -> bool {
        (&self.cron, &self.zone) == (&other.cron, &other.zone)
            && (self.start_at, self.end_at) == (other.start_at, other.end_at)
    }
}

/// Who keeps a schedule from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// Since when.
    pub at: Timestamp,
    /// The agent.
    pub by: String,
}

/// Whether a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It has a next tick.
    Active,
    /// It has been paused.
    Paused,
    /// It has no tick left.
    Ended,
}

impl Standing {
    /// The name that callers see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// A schedule as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// A UUID version 7.
    pub id: String,
    /// Its owner, as whom it runs.
    pub agent: String,
    /// Its name, the only one of its owner.
    pub name: String,
    /// What its owner decided.
    pub spec: Spec,
    /// Ticks that have become runs.
    pub runs: u32,
    /// Set while it is paused.
    pub paused: Option<Paused>,
    /// The next tick; none where it has ended.
    pub next: Option<Due>,
    /// The last tick that has been decided about, whatever became of it.
    pub last_tick: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its owner last changed it.
    pub updated_at: Timestamp,
    /// Grows with every change, so that a decision about an older state is not carried out.
    pub version: i64,
}

impl Schedule {
    /// An id that nobody has used.
    pub fn random_id() -> String {
        JobId::random().as_str().to_owned()
    }

    /// Whether it runs.
    pub const fn standing(&self) -> Standing {
        match (&self.paused, &self.next) {
            (Some(_), _) => Standing::Paused,
            (None, Some(_)) => Standing::Active,
            (None, None) => Standing::Ended,
        }
    }
}

/// Why a tick came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickKind {
    /// The expression says so.
    Cron,
    /// Somebody asked for it.
    Manual,
}

impl TickKind {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Manual => "manual",
        }
    }
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// A job.
    Submitted,
    /// It waits for the end of the run before.
    Waiting,
    /// Nothing, since the run before was going on.
    Skipped,
    /// Nothing, since it could not be run.
    Refused,
}

impl TickOutcome {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Waiting => "waiting",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
        }
    }
}

/// One tick, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The time that the expression names; of one that somebody asked for, when that was.
    pub tick: Timestamp,
    /// Why it came to be.
    pub kind: TickKind,
    /// What became of it.
    pub outcome: TickOutcome,
    /// The job that it has become.
    pub job: Option<JobId>,
    /// The workflow that it has become.
    pub workflow: Option<WorkflowId>,
    /// Why it has not become one.
    pub detail: Option<String>,
    /// When that was decided.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_waits_for_the_run_before_as_wanted() {
        let rows = [
            (
                Overlap::Skip,
                [Step::Submit, Step::Skip, Step::Submit, Step::Submit],
            ),
            (
                Overlap::Queue,
                [Step::Submit, Step::Wait, Step::Wait, Step::Skip],
            ),
            (
                Overlap::Replace,
                [Step::Submit, Step::Replace, Step::Submit, Step::Submit],
            ),
        ];
        for (overlap, expected) in rows {
            let cases = [(false, 0), (true, 0), (false, 1), (false, MAX_WAITING)];
            let steps = cases.map(|(is_running, waiting)| overlap.decide(is_running, waiting));
            assert_eq!(steps, expected, "{overlap:?}");
        }
        assert_eq!(Overlap::Queue.decide(true, MAX_WAITING), Step::Skip);
    }

    #[test]
    fn a_target_is_kept_as_json() {
        let stored = r#"{"tool":"math__add","arguments":{"b":1,"a":2}}"#;
        let target: Target = serde_json::from_str(stored).unwrap();
        assert_eq!(
            (
                target.name(),
                serde_json::to_string(&target).unwrap().as_str()
            ),
            ("math__add", stored)
        );
        assert!(serde_json::from_str::<Target>(r#"{"tool":"math__add"}"#).is_err());
    }
}
