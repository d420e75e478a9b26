//! A job as it is asked for, claimed and shown.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Effect, Failure, JobId, Retry, StateName, code};
use crate::approval;
use crate::clock::Timestamp;
use crate::limit::Limit;
use crate::policy::Via;
use crate::sandbox::Confinement;

/// How a job came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A `tools/call` whose caller waits for the answer.
    Call,
    /// `jobs__submit`: the caller took the id and left.
    Submit,
    /// A schedule, at one of its times or because somebody triggered it.
    Schedule,
    /// A step of a workflow, or a check of one.
    Workflow,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Call, Self::Submit, Self::Schedule, Self::Workflow];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Submit => "submit",
            Self::Schedule => "schedule",
            Self::Workflow => "workflow",
        }
    }

    /// By which way such a call comes to be.
    pub const fn via(self) -> Via {
        match self {
            Self::Call | Self::Submit => Via::Call,
            Self::Schedule => Via::Schedule,
            Self::Workflow => Via::Workflow,
        }
    }
}

/// How the caller of a call came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The name of the transport, one of [`Entrance::TRANSPORTS`].
    pub transport: &'static str,
    /// Where the caller is, as far as it has an address.
    pub address: Option<IpAddr>,
}

impl Entrance {
    /// The names of all transports.
    pub const TRANSPORTS: [&str; 4] = ["streamable_http", "http", "sse", "stdio"];

    /// The one that has been recorded; `None` where nobody was connected.
    pub fn recorded(transport: &str, address: Option<IpAddr>) -> Option<Self> {
        let mut known = Self::TRANSPORTS.into_iter();
        let transport = known.find(|known| *known == transport)?;
        Some(Self { transport, address })
    }
}

/// What was decided about a call when its job was recorded, as far as a later look depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// The hash of the rules that were asked.
    pub policy: String,
    /// By which way the call came to be.
    pub via: Via,
    /// How the caller had come in; `None` where nobody was connected.
    pub entrance: Option<Entrance>,
}

/// What a job is a part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Origin {
    /// A run of a schedule.
    Schedule {
        /// The schedule's id.
        schedule: String,
    },
    /// A step of a workflow.
    Workflow {
        /// The workflow's id.
        workflow: String,
        /// The step's id within it.
        step: String,
    },
}

/// A job to be recorded. Everything in it has been decided: arguments are validated and complete.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id, chosen by the caller, who can therefore watch it before it exists.
    pub id: JobId,
    /// The tool, `plugin__command`.
    pub tool: String,
    /// The plugin that the tool belongs to.
    pub plugin: String,
    /// Who asked.
    pub agent: String,
    /// How it was asked for.
    pub source: Source,
    /// The schedule or workflow that it is a part of.
    pub origin: Option<Origin>,
    /// Jobs of one lane run one at a time; `None` runs beside anything.
    pub lane: Option<String>,
    /// Higher runs first; −100 to 100.
    pub priority: i32,
    /// What repeating it does.
    pub effect: Effect,
    /// Not before this instant; `None` means now.
    pub run_at: Option<Timestamp>,
    /// Exactly what will run.
    pub arguments: Map<String, Value>,
    /// The names of the arguments that are stored encrypted, shown masked, and in no record.
    pub secret: Vec<String>,
    /// How its caller came in; `None` where nobody is connected.
    pub entrance: Option<Entrance>,
    /// Each attempt's time limit; `None` means none.
    pub timeout: Option<Duration>,
    /// What follows a failed attempt; `None` stands for [`Retry::undeclared`].
    pub retry: Option<Retry>,
    /// The same key of the same agent gives the same job.
    pub idempotency_key: Option<String>,
    /// The rules that allowed it, for the audit record.
    pub rules: Vec<String>,
    /// The hash of the rules that were asked, for the audit record.
    pub policy: String,
    /// What must be approved of before it runs.
    pub approval: Option<approval::Request>,
    /// Their limits: it is recorded only where all of them admit one call more, and then counts against each.
    pub limits: Vec<Limit>,
    /// Whether it runs only where every key of its plugin's profile is enforced.
    pub strict_sandbox: bool,
}

/// A job that a worker holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Its id.
    pub id: JobId,
    /// The number of this attempt: with id and worker the key that `finish` must show.
    pub attempt: u32,
    /// The tool to run.
    pub tool: String,
    /// The plugin that the tool belongs to.
    pub plugin: String,
    /// Who asked.
    pub agent: String,
    /// What to run, its secret arguments masked.
    pub arguments: Map<String, Value>,
    /// The secret ones, sealed; see [`Queue::open_arguments`](crate::queue::Queue::open_arguments).
    pub sealed: Option<Vec<u8>>,
    /// The attempt's time limit; `None` means none.
    pub timeout: Option<Duration>,
    /// What was decided when it was recorded.
    pub decision: Decision,
    /// What was approved of, where it needed that: nothing else may run.
    pub approved: Option<approval::Digest>,
    /// Whether it runs only where every key of its plugin's profile is enforced.
    pub strict_sandbox: bool,
}

/// A job as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The tool, `plugin__command`.
    pub tool: String,
    /// The plugin that the tool belongs to.
    pub plugin: String,
    /// Who asked.
    pub agent: String,
    /// How it was asked for: `call`, `submit`, `schedule` or `workflow`.
    pub source: String,
    /// The schedule or workflow that it is a part of: its id, and the step's.
    pub origin: Option<Origin>,
    /// Where it stands.
    pub state: StateName,
    /// Its lane, if it has one.
    pub lane: Option<String>,
    /// Higher runs first.
    pub priority: i32,
    /// What repeating it does: `read_only`, `idempotent` or `once`.
    pub effect: String,
    /// Not before this instant, in milliseconds UTC.
    pub run_at: Timestamp,
    /// What it runs with; secret ones masked.
    pub arguments: Value,
    /// Each attempt's time limit in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Attempts that may be held against it.
    pub max_attempts: u32,
    /// What follows a failed attempt, where its tool or its caller says so.
    pub retry: Option<Retry>,
    /// The key under which it was asked for.
    pub idempotency_key: Option<String>,
    /// Who asked for it to be stopped, when and why.
    pub cancel: Option<CancelRequest>,
    /// Its attempts, first to last.
    pub attempts: Vec<Attempt>,
    /// Why it failed; `None` while it runs and where it succeeded.
    pub error: Option<Failure>,
    /// Bytes of standard output kept for it.
    pub output_bytes: u64,
    /// True where the plugin printed more than is kept.
    pub output_truncated: bool,
    /// All that the plugin printed, in bytes, where that is more than is kept.
    pub printed_bytes: Option<u64>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Job {
    /// What its caller should know beside how it ended: that its output was cut. That is no failure, since what the job
    /// was to do has been done, and would be done again by another attempt.
    pub fn warning(&self) -> Option<Failure> {
        let (printed, kept) = (self.printed_bytes?, self.output_bytes);
        let message = format!(
            "The plugin printed {printed} bytes, of which the first {kept} have been kept."
        );
        Some(Failure::new(code::OUTPUT_TRUNCATED, message))
    }
}

/// A request to stop a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CancelRequest {
    /// When it was asked.
    pub at: Timestamp,
    /// Who asked.
    pub by: String,
    /// Why, in the words of who asked.
    pub reason: Option<String>,
}

/// One attempt of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub n: u32,
    /// The worker that ran it.
    pub worker: String,
    /// When the worker took it.
    pub started_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// `succeeded`, `failed`, `stopped`, `released`, `interrupted`, `snoozed` or `worker_lost`.
    pub outcome: Option<String>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// What held it; `None` where no process has run, or where it has not ended.
    pub sandbox: Option<Confinement>,
}
