//! `smcp schedules` on the command line.

use std::time::Duration;

use clap::{Args, Subcommand};
use smcp_common::clock::Timestamp;

use super::{Connection, Given, instant};
use crate::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Schedules {
    /// Run a tool or a workflow at the times of a cron expression
    Add(Box<ScheduleAdd>),
    /// List schedules by owner and name
    List(ScheduleList),
    /// Show everything about a schedule: what it runs, its next times, and what became of the last ones
    Show(ScheduleRef),
    /// Keep a schedule from running; the times until it is resumed are left out
    Pause(ScheduleRef),
    /// Let a paused schedule run again, from its next time on
    Resume(ScheduleRef),
    /// Delete a schedule; its jobs stay
    Remove(ScheduleRef),
    /// Run a schedule now, and print the id of the job or workflow
    Trigger(ScheduleRef),
    /// Print the next times of a cron expression, without storing anything
    Next(ScheduleNext),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The expression has 5 fields (minute, hour, day of month, month, day of week), or
6 with seconds before them; L, W, # and names such as @daily are understood.
Arguments of the tool are given as to smcp call.

Examples:
  smcp schedules add weekly --cron '0 9 * * 1' --tz Europe/Berlin reports__build month=2026-11
  smcp schedules add poll --cron '*/15 * * * * *' --overlap skip devops__poll
  smcp schedules add close --cron '0 18 L * *' --catch-up one --attempts 5 books__close
  smcp schedules add release --cron '0 4 * * 1-5' --workflow release.toml")]
pub(crate) struct ScheduleAdd {
    /// Its name: letters, digits, '.', '_' and '-'
    pub(crate) name: String,
    /// When to run
    #[arg(long, value_name = "EXPR")]
    pub(crate) cron: String,
    /// IANA time zone of the expression, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) tz: String,
    /// Not before that time, such as 2026-12-01T09:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) start: Option<Timestamp>,
    /// Not after that time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) end: Option<Timestamp>,
    /// So many runs at the most
    #[arg(long, value_name = "N")]
    pub(crate) max_runs: Option<u32>,
    /// Start each run up to that much later, by chance, such as 30s
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) jitter: Option<Duration>,
    /// While the run before is going on: skip, queue or replace [default: skip]
    #[arg(long, value_parser = ["skip", "queue", "replace"], hide_possible_values = true)]
    pub(crate) overlap: Option<String>,
    /// Of times that passed while no worker was there, run: none, one or all [default: none]
    #[arg(long, value_parser = ["none", "one", "all"], hide_possible_values = true)]
    pub(crate) catch_up: Option<String>,
    /// Leave out missed times older than that [default: 1d]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) catch_up_window: Option<Duration>,
    /// Attempts of each run, the first included [default: as the tool declares]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) attempts: Option<i64>,
    /// Priority of each run, -100 to 100; higher runs first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// Run a workflow in the place of a tool: a file as of smcp workflows submit; '-' reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tool", "arguments", "args"])]
    pub(crate) workflow: Option<String>,
    /// The tool, as `smcp tools` lists it
    #[arg(required_unless_present = "workflow")]
    pub(crate) tool: Option<String>,
    #[command(flatten)]
    pub(crate) given: Given,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleList {
    /// Only schedules of that agent
    #[arg(long)]
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleRef {
    /// The name or the id of the schedule
    #[arg(value_name = "SCHEDULE")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  smcp schedules next --cron '0 9 * * 1' --tz Europe/Berlin")]
pub(crate) struct ScheduleNext {
    /// The expression
    #[arg(long, value_name = "EXPR")]
    pub(crate) cron: String,
    /// IANA time zone of the expression, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) tz: String,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
