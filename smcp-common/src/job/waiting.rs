//! Why a queued job does not run, in the order in which it can be mended: first what somebody has to do, then what time
//! brings, then its turn. Pure, so that the whole table can be tested.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::JobId;
use crate::approval::list;
use crate::clock::Timestamp;
use crate::sentence::sentence;

/// A position is counted up to this one; behind it, it does not matter.
pub const POSITION_LIMIT: u64 = 1_000;

/// What can be paused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "scope", content = "name", rename_all = "snake_case")]
pub enum Scope {
    /// Everything.
    All,
    /// The jobs of one lane.
    Lane(String),
    /// The jobs of one plugin, in whatever lane.
    Plugin(String),
}

/// A pause: no worker takes a job from what it covers. Running jobs are not touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What it covers.
    #[serde(flatten)]
    pub scope: Scope,
    /// Since when.
    pub since: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// Why, in the words of who asked.
    pub reason: Option<String>,
}

/// One reason why a queued job does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Waiting {
    /// Somebody must approve of it first.
    Approval {
        /// Members of these groups may; of each somebody must.
        groups: Vec<String>,
        /// So many agents must.
        approvals: u32,
        /// So many have.
        given: u32,
        /// It is given up then.
        expires_at: Timestamp,
    },
    /// An operator has paused what it belongs to.
    Paused(Pause),
    /// No worker has given a sign of life within its lease.
    NoWorker,
    /// It was asked for later.
    NotBefore {
        /// When it may run.
        run_at: Timestamp,
    },
    /// Another attempt follows an earlier one, after a delay.
    Retrying {
        /// When it may run.
        run_at: Timestamp,
        /// The attempt that follows, from 2.
        attempt: u32,
    },
    /// Its agent has as many jobs running as it may.
    AgentBusy {
        /// The agent.
        agent: String,
        /// How many that are.
        running: u64,
    },
    /// Another job of its lane runs.
    LaneBusy {
        /// The lane.
        lane: String,
        /// The job that runs.
        job: JobId,
        /// 1 where it is the next of its lane; counted up to [`POSITION_LIMIT`].
        position: u64,
    },
    /// Its lane is free, but others of it go first.
    Behind {
        /// The lane; `None` for jobs that need none.
        lane: Option<String>,
        /// 2 where one other goes first; counted up to [`POSITION_LIMIT`].
        position: u64,
    },
    /// It could run, but every worker has a job.
    WorkersBusy {
        /// The workers.
        workers: u64,
        /// 1 where the next free worker takes it, as far as is known now.
        position: u64,
    },
}

/// What is known of a queued job and of what stands before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// When it may run.
    pub run_at: Timestamp,
    /// Claims so far.
    pub attempt: u32,
    /// Its lane.
    pub lane: Option<String>,
    /// Its agent.
    pub agent: String,
    /// How many jobs the agent may have running, where it has so many.
    pub full: Option<u64>,
    /// The pauses that cover it.
    pub pauses: Vec<Pause>,
    /// The job that runs in its lane.
    pub lane_job: Option<JobId>,
    /// Jobs of its lane that go first.
    pub ahead_in_lane: u64,
    /// The best jobs of other free lanes that go first.
    pub ahead_elsewhere: u64,
    /// Workers that have given a sign of life within their lease.
    pub workers: u64,
    /// Those of them that have a job.
    pub busy: u64,
}

/// Why the job waits at `now`, what must change first in front; nothing where a worker is about to take it.
pub fn waiting(situation: Situation, now: Timestamp) -> Vec<Waiting> {
    let Situation {
        run_at,
        attempt,
        lane,
        agent,
        full,
        pauses,
        lane_job,
        ahead_in_lane,
        ahead_elsewhere,
        workers,
        busy,
    } = situation;
    let mut reasons: Vec<_> = pauses.into_iter().map(Waiting::Paused).collect();
    if workers == 0 {
        reasons.push(Waiting::NoWorker);
    }
    if run_at > now {
        reasons.push(if attempt == 0 {
            Waiting::NotBefore { run_at }
        } else {
            let attempt = attempt + 1;
            Waiting::Retrying { run_at, attempt }
        });
        // Its turn is counted from then on.
        return reasons;
    }
    if let Some(running) = full {
        reasons.push(Waiting::AgentBusy { agent, running });
    }
    let position = (ahead_in_lane + 1).min(POSITION_LIMIT);
    match (lane, lane_job) {
        (Some(lane), Some(job)) => {
            reasons.push(Waiting::LaneBusy {
                lane,
                job,
                position,
            });
        }
        (lane, _) if ahead_in_lane > 0 => reasons.push(Waiting::Behind { lane, position }),
        (_, _) if workers > 0 && busy >= workers && full.is_none() => {
            let position = (ahead_elsewhere + 1).min(POSITION_LIMIT);
            reasons.push(Waiting::WorkersBusy { workers, position });
        }
        (_, _) => {}
    }
    reasons
}

impl Scope {
    /// The stored text, and the name; `''` for all.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::All => ("all", ""),
            Self::Lane(name) => ("lane", name),
            Self::Plugin(name) => ("plugin", name),
        }
    }

    /// The scope of that stored text and name.
    pub fn parse(scope: &str, name: String) -> Option<Self> {
        match scope {
            "all" => Some(Self::All),
            "lane" => Some(Self::Lane(name)),
            "plugin" => Some(Self::Plugin(name)),
            _ => None,
        }
    }

    /// Whether it covers the jobs of that lane and plugin.
    pub fn covers(&self, lane: Option<&str>, plugin: &str) -> bool {
        match self {
            Self::All => true,
            Self::Lane(name) => lane == Some(name),
            Self::Plugin(name) => name == plugin,
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("the whole queue"),
            Self::Lane(name) => write!(f, "lane '{name}'"),
            Self::Plugin(name) => write!(f, "plugin '{name}'"),
        }
    }
}

impl Pause {
    /// Who paused what, when and why: a part of a sentence.
    pub fn clause(&self, now: Timestamp) -> String {
        let Self {
            scope,
            since,
            by,
            reason,
        } = self;
        let reason = reason.as_ref().map(|reason| format!(": {reason}"));
        format!(
            "{scope} was paused by {by} {}{}",
            ago(now.since(*since)),
            reason.unwrap_or_default().trim_end_matches('.')
        )
    }
}

impl Waiting {
    /// The reason in a sentence.
    pub fn message(&self, now: Timestamp) -> String {
        sentence(&self.clause(now))
    }

    /// The reason as a part of a sentence.
    pub fn clause(&self, now: Timestamp) -> String {
        let place = |position: u64| match position {
            POSITION_LIMIT.. => format!("{POSITION_LIMIT} or more"),
            _ => position.to_string(),
        };
        match self {
            Self::Approval {
                groups,
                approvals,
                given,
                expires_at,
            } => {
                let of = match (approvals, given) {
                    (1, _) => String::new(),
                    (_, 0) => format!(" of {approvals}"),
                    (_, _) => format!(" of {approvals}, {given} of whom have approved of it already,"),
                };
                let members = list(groups);
                format!("it needs the approval{of} of {members} until {expires_at}; smcp approvals and approvals__list show it")
            }
            Self::Paused(pause) => pause.clause(now),
            Self::NoWorker => {
                "no worker is alive to run it; smcp worker starts one, and smcp up keeps some running"
                    .to_owned()
            }
            Self::NotBefore { run_at } => format!("it is not to run before {run_at}"),
            Self::Retrying { run_at, attempt } => format!("attempt {attempt} follows at {run_at}"),
            Self::AgentBusy { agent, running: 1 } => {
                format!("agent '{agent}' has a job running, and may have no other at a time")
            }
            Self::AgentBusy { agent, running } => {
                format!("agent '{agent}' has {running} jobs running, as many as it may at a time")
            }
            Self::LaneBusy {
                lane,
                job,
                position: 1,
            } => format!("job {job} runs in lane '{lane}', and this one is next"),
            Self::LaneBusy {
                lane,
                job,
                position,
            } => format!(
                "job {job} runs in lane '{lane}', and this one is number {} of those that wait there",
                place(*position)
            ),
            Self::Behind {
                lane: Some(lane),
                position,
            } => format!(
                "it is number {} of those that wait in lane '{lane}'",
                place(*position)
            ),
            Self::Behind {
                lane: None,
                position,
            } => format!(
                "it is number {} of those that wait and need no lane",
                place(*position)
            ),
            Self::WorkersBusy { workers, position } => {
                let busy = match workers {
                    1 => "the only worker has another job".to_owned(),
                    _ => format!("all {workers} workers have other jobs"),
                };
                match position {
                    1 => format!("{busy}, and this one is next"),
                    _ => format!("{busy}, and it is number {} of those that are next", place(*position)),
                }
            }
        }
    }

    /// Whether it only waits for its turn, which comes by itself.
    pub const fn is_turn(&self) -> bool {
        match self {
            Self::AgentBusy { .. }
            | Self::LaneBusy { .. }
            | Self::Behind { .. }
            | Self::WorkersBusy { .. } => true,
            Self::Approval { .. }
            | Self::Paused(_)
            | Self::NoWorker
            | Self::NotBefore { .. }
            | Self::Retrying { .. } => false,
        }
    }
}

/// A time that has passed, roughly.
fn ago(passed: Duration) -> String {
    match passed.as_secs() {
        0..5 => "just now".to_owned(),
        seconds @ 5..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
