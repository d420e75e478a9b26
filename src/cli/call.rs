//! `smcp call` and `smcp tools`.

use std::time::Duration;

use clap::Args;
use smcp_common::clock::Timestamp;

use super::{Connection, instant};
use crate::duration;

#[derive(Debug, Args)]
pub(crate) struct Tools {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Values are read as the type that the tool declares. An array is given by
repeating its name, or as JSON. The answer goes to standard output, progress to
standard error. The exit code is 1 where the tool failed.

Examples:
  smcp call demo_math__calculate expression='2+2'
  smcp call devops__deploy app-name=shop environment=staging --key deploy-42
  smcp call reports__build --args '{\"month\": \"2026-11\"}' --detach
  smcp call reports__build month=2026-11 --in 10m
  smcp call devops__status app-name=shop --attempts 5")]
pub(crate) struct Call {
    /// The tool, as `smcp tools` lists it
    pub(crate) tool: String,
    #[command(flatten)]
    pub(crate) given: Given,
    /// Do not wait: print the id of the job, and leave
    #[arg(long)]
    pub(crate) detach: bool,
    /// Run nothing: tell what would happen, under which rules
    #[arg(long, conflicts_with_all = ["detach", "key", "attempts", "at", "in"])]
    pub(crate) dry_run: bool,
    /// Idempotency key: a second call with the same key finds the job of the first
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Try so often, the first time included, where the tool fails or runs out of time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) attempts: Option<u32>,
    /// Run at that time, such as 2026-11-21T09:30:00Z; implies --detach
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "in")]
    pub(crate) at: Option<Timestamp>,
    /// Run after that long, such as 90s, 10m or 1h30m; implies --detach
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) r#in: Option<Duration>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The arguments of a tool.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// Its arguments
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) arguments: Vec<String>,
    /// Arguments as one JSON object; '-' reads it from standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) args: Option<String>,
}
