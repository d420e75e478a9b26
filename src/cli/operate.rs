//! What operators may do to many jobs, and to the queue.

use std::time::Duration;

use clap::{Args, Subcommand};
use smcp_common::job::{JobId, StateName};

use super::Connection;
use super::jobs::state;
use crate::duration;

#[derive(Debug, Args)]
pub(crate) struct JobsCancel {
    /// The id of the job
    pub(crate) id: JobId,
    /// Why, for the record and for whoever waits for it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Which jobs are meant.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which jobs")]
pub(crate) struct Which {
    /// Only jobs of that tool; '*' stands for any text, '?' for any character
    #[arg(long, value_name = "PATTERN")]
    pub(crate) tool: Option<String>,
    /// Only jobs in that lane
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// Only jobs of that plugin
    #[arg(long)]
    pub(crate) plugin: Option<String>,
    /// Only jobs that were recorded, or have ended, longer ago than that, such as 10m or 2d
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) older_than: Option<Duration>,
    /// At most so many, oldest first [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: Option<u32>,
}

/// Whether it is done.
#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Do it; without, it is only told what would be done, and the exit code is 2
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Only tell what would be done
    #[arg(long, conflicts_with = "confirm")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Queued jobs are cancelled; ended ones are deleted with their output. Running
jobs are left alone, see: smcp jobs cancel.

Examples:
  smcp jobs flush --lane deploy                    what would be cancelled
  smcp jobs flush --lane deploy --confirm --reason 'wrong release'
  smcp jobs flush --state failed --older-than 30d --confirm")]
pub(crate) struct JobsFlush {
    /// Jobs in that state; not running
    #[arg(long, value_parser = state, default_value = "queued")]
    pub(crate) state: StateName,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) consent: Consent,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A retried job is the same job with a new attempt; who waits for it by its id
hears of it. The exit code is 1 where one cannot be run again.

Example:
  smcp jobs retry 019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55")]
pub(crate) struct JobsRetry {
    /// The ids of the jobs, which have failed, were cancelled or ended with an unknown outcome
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<JobId>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each job by itself: one that cannot be run again is skipped and told.

Examples:
  smcp jobs requeue-dead                           what would be run again
  smcp jobs requeue-dead --tool 'devops__*' --error timeout --confirm")]
pub(crate) struct JobsRequeueDead {
    /// Jobs in that state: failed or outcome_unknown, which may have done their work
    #[arg(long, value_parser = state, default_value = "failed")]
    pub(crate) state: StateName,
    /// Only jobs that failed with that code, such as timeout
    #[arg(long, value_name = "CODE")]
    pub(crate) error: Option<String>,
    /// Only jobs that have ended not longer ago than that
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) newer_than: Option<Duration>,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) consent: Consent,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  smcp jobs priority 50 019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55
  smcp jobs priority -10 --tool 'reports__*'")]
pub(crate) struct JobsPriority {
    /// -100 to 100; higher runs first, 0 is usual
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    pub(crate) priority: i32,
    /// The id of one job, in the place of --tool, --lane and --plugin
    pub(crate) id: Option<JobId>,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Queues {
    /// Show how the queue stands, lane by lane, and what is paused
    List(QueuesList),
    /// Keep workers from taking jobs until resume; running jobs are not touched
    #[command(
        after_help = "Examples:\n  smcp queues pause --lane deploy --reason maintenance\n  smcp queues pause --all"
    )]
    Pause(QueuesPause),
    /// End a pause, of exactly what was paused
    #[command(after_help = "Example:\n  smcp queues resume --lane deploy")]
    Resume(QueuesResume),
    /// Pause, and wait until nothing of it runs any more
    #[command(after_help = "\
Ctrl-C ends the waiting; the pause stays.

Example:
  smcp queues drain --all && smcp db backup /backup/smcp.db")]
    Drain(QueuesPause),
}

#[derive(Debug, Args)]
pub(crate) struct QueuesList {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// What is paused, or is not any more.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Scope {
    /// Everything
    #[arg(long)]
    pub(crate) all: bool,
    /// The jobs of that lane
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// The jobs of that plugin
    #[arg(long)]
    pub(crate) plugin: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct QueuesPause {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Why; whoever waits for a job is told
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct QueuesResume {
    #[command(flatten)]
    pub(crate) scope: Scope,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
