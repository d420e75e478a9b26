//! `smcp workers`.

use clap::{Args, Subcommand};

use super::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum Workers {
    /// List the workers, and what each is doing
    List(WorkersList),
    /// Say how many workers smcp up shall keep running
    #[command(after_help = "\
The number outlives smcp up. Where there are too many, those that run nothing go first;
one that runs a job ends after it. 0 lets nothing run any more.

Workers that were started by hand or by systemd are not counted and not touched.

Examples:
  smcp workers scale 4
  smcp workers scale 0 --wait")]
    Scale(WorkersScale),
    /// Let a worker, or all of them, finish what it runs and end
    #[command(after_help = "\
A draining worker begins nothing new. smcp up starts another in its place, so that
draining all of them replaces them, as after an upgrade of the program.

Examples:
  smcp workers drain w-0123456789ab
  smcp workers drain all")]
    Drain(WorkersDrain),
}

#[derive(Debug, Args)]
pub(crate) struct WorkersList {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct WorkersScale {
    /// How many
    #[arg(value_parser = clap::value_parser!(u16).range(0..=256))]
    pub(crate) count: u16,
    /// Return when as many run, and those that were too many have ended
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct WorkersDrain {
    /// The id of the worker, as `smcp workers list` shows it, or all
    #[arg(value_name = "ID|all")]
    pub(crate) worker: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
