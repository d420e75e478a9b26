//! `smcp jobs`.

use clap::{Args, Subcommand};
use smcp_common::job::{JobId, StateName};

use super::{Connection, JobsCancel, JobsFlush, JobsPriority, JobsRequeueDead, JobsRetry};

#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// List jobs, newest first
    #[command(
        after_help = "Examples:\n  smcp jobs list --state failed\n  smcp jobs list --tool demo_math__calculate --limit 5"
    )]
    List(JobsList),
    /// Show everything about a job: arguments, attempts, and why it failed
    Show(JobRef),
    /// Follow what happens to a job until it ends
    Tail(JobRef),
    /// Wait for the end of a job; the exit code is 0 where it succeeded
    Wait(JobRef),
    /// Print what a job has written to its standard output
    Output(JobRef),
    /// Stop a job, be it waiting or running
    Cancel(JobsCancel),
    /// Cancel many queued jobs, or delete ended ones
    Flush(JobsFlush),
    /// Give queued jobs another priority
    Priority(JobsPriority),
    /// Run failed jobs again, many at once
    RequeueDead(JobsRequeueDead),
    /// Run jobs again that have ended without success
    Retry(JobsRetry),
}

#[derive(Debug, Args)]
pub(crate) struct JobsList {
    /// Only jobs in that state: awaiting_approval, queued, running, succeeded, failed, cancelled,
    /// outcome_unknown, denied or expired
    #[arg(long, value_parser = state)]
    pub(crate) state: Option<StateName>,
    /// Only jobs of that tool
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only jobs in that lane
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// Only jobs of that agent
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct JobRef {
    /// The id of the job
    pub(crate) id: JobId,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The state of that name.
pub(super) fn state(text: &str) -> Result<StateName, String> {
    StateName::parse(text).ok_or_else(|| {
        let states: Vec<_> = StateName::ALL.iter().map(|state| state.as_str()).collect();
        format!("a state is one of {}", states.join(", "))
    })
}
