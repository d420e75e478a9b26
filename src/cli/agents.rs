//! `smcp agents`.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, Subcommand};
use smcp_common::agent;

use super::Connection;
use crate::duration;

/// How many jobs of an agent can be let run at a time.
const MAX_RUNNING: RangeInclusive<i64> = 1..=1_000_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Agents {
    /// Add an agent, and print its key, which is shown this once
    #[command(after_help = "\
The key goes to standard output, all else to standard error. The agent shows it
as 'Authorization: Bearer KEY'; smcp reads it from SMCP_API_KEY.

Examples:
  smcp agents add claude --group users
  smcp agents add ci --group users --group deployers --expires-in 90d
  smcp agents add ci --json | jq -r .key > ci.key")]
    Add(AgentsAdd),
    /// List agents, with their groups and their keys
    List(AgentsList),
    /// Change how many jobs of an agent run at a time
    #[command(after_help = "\
It counts at once; what runs already goes on.

Examples:
  smcp agents set ci --max-running 2
  smcp agents set ci --max-running none")]
    Set(AgentsSet),
    /// Make a new key for an agent, and print it; the old ones are good for a while yet
    #[command(after_help = "\
Examples:
  smcp agents rotate ci                            the old key is good for another day
  smcp agents rotate ci --overlap 0s               it has leaked: end it at once")]
    Rotate(AgentsRotate),
    /// End an agent, or one of its keys
    #[command(after_help = "\
The agent's keys and sessions end at once, its waiting jobs are cancelled, its
schedules paused, and its workflows begin no further step. What runs goes on,
unless --stop. To take the agent back, add it again.

Examples:
  smcp agents revoke ci
  smcp agents revoke ci --key 3f9a2b1c77d0")]
    Revoke(AgentsRevoke),
    /// Show or change the groups of an agent
    #[command(after_help = "\
Examples:
  smcp agents groups ci                            show them
  smcp agents groups ci users deployers            exactly these
  smcp agents groups ci --add ops --remove deployers")]
    Groups(AgentsGroups),
}

#[derive(Debug, Args)]
pub(crate) struct AgentsAdd {
    /// Its name: a-z, 0-9, '.', '_' and '-'
    #[arg(value_parser = name)]
    pub(crate) name: String,
    /// A group that it is in; can be repeated
    #[arg(long = "group", value_name = "GROUP", value_parser = group)]
    pub(crate) groups: Vec<String>,
    /// Let the key end after that long, such as 90d [default: it is good until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) expires_in: Option<Duration>,
    /// The most jobs of it that run at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(MAX_RUNNING))]
    pub(crate) max_running: Option<u32>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct AgentsList {
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct AgentsSet {
    /// The agent
    pub(crate) name: String,
    /// The most jobs of it that run at a time, or none to lift the limit
    #[arg(long, value_name = "N", value_parser = at_a_time)]
    pub(crate) max_running: AtATime,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// How many jobs run at a time: so many at most, or any number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtATime(pub(crate) Option<u32>);

#[derive(Debug, Args)]
pub(crate) struct AgentsRotate {
    /// The agent
    pub(crate) name: String,
    /// How long the old keys are still good; 0s ends them at once
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration::parse)]
    pub(crate) overlap: Duration,
    /// Let the new key end after that long, such as 90d [default: it is good until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(crate) expires_in: Option<Duration>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct AgentsRevoke {
    /// The agent
    pub(crate) name: String,
    /// Only that key, by its id as `smcp agents list` shows it
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
    /// Stop its running jobs, too
    #[arg(long, conflicts_with = "key")]
    pub(crate) stop: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct AgentsGroups {
    /// The agent
    pub(crate) name: String,
    /// The groups that it shall be in, and no others
    #[arg(value_name = "GROUP", value_parser = group, conflicts_with_all = ["add", "remove"])]
    pub(crate) groups: Vec<String>,
    /// A group that it comes into; can be repeated
    #[arg(long, value_name = "GROUP", value_parser = group)]
    pub(crate) add: Vec<String>,
    /// A group that it leaves; can be repeated
    #[arg(long, value_name = "GROUP", value_parser = group)]
    pub(crate) remove: Vec<String>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

fn name(text: &str) -> Result<String, agent::InvalidName> {
    agent::check_name(text).map(|()| text.to_owned())
}

fn group(text: &str) -> Result<String, agent::InvalidName> {
    agent::check_group(text).map(|()| text.to_owned())
}

fn at_a_time(text: &str) -> Result<AtATime, String> {
    if text == "none" {
        return Ok(AtATime(None));
    }
    text.parse()
        .ok()
        .filter(|most| MAX_RUNNING.contains(&i64::from(*most)))
        .map(|most| AtATime(Some(most)))
        .ok_or_else(|| {
            let (least, most) = (MAX_RUNNING.start(), MAX_RUNNING.end());
            format!("write a number from {least} to {most}, or none")
        })
}

fn some_time(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("a key that ends at once lets nobody in".to_owned()),
        time => Ok(time),
    }
}
