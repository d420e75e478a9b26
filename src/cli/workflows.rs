//! The command line of workflows.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use smcp_common::workflow::{WorkflowId, WorkflowState};

use super::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum Workflows {
    /// Record a workflow, and print its id
    Submit(WorkflowsSubmit),
    /// List workflows, newest first
    List(WorkflowsList),
    /// Show a workflow as a tree of its steps, with states, times and checks
    Show(WorkflowRef),
    /// Stop a workflow: what runs is cancelled, what waits never begins
    Cancel(WorkflowsCancel),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The file is TOML or JSON. A workflow that cannot run is refused with all that is
wrong and where, and nothing is recorded. With --wait, the exit code is 1 where
the workflow did not succeed.

Examples:
  smcp workflows submit deploy.toml
  smcp workflows submit deploy.toml --wait
  smcp workflows submit - < deploy.json")]
pub(crate) struct WorkflowsSubmit {
    /// The file with the definition; '-' reads standard input
    pub(crate) file: PathBuf,
    /// Follow it to its end, and show its steps
    #[arg(long)]
    pub(crate) wait: bool,
    /// Idempotency key: a second submission with the same key finds the first one's workflow
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct WorkflowsList {
    /// Only workflows in that state: running, succeeded, failed or cancelled
    #[arg(long, value_parser = state)]
    pub(crate) state: Option<WorkflowState>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct WorkflowRef {
    /// The id of the workflow
    pub(crate) id: WorkflowId,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct WorkflowsCancel {
    /// The id of the workflow
    pub(crate) id: WorkflowId,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

fn state(text: &str) -> Result<WorkflowState, String> {
    WorkflowState::parse(text).ok_or_else(|| {
        let states: Vec<_> = WorkflowState::ALL
            .iter()
            .map(|state| state.as_str())
            .collect();
        format!("a state is one of {}", states.join(", "))
    })
}
