//! `smcp policy`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use smcp_common::clock::Timestamp;

use super::audit::instant as past;
use super::{Connection, Given};

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Tell which rules are in force and what is wrong with them, or look at other ones
    #[command(after_help = "\
Without DIR: the rules in force, and whether those of the server's directory are.
With DIR: its *.cedar files, as if they were to take their place; a rule that is
already in force may go on naming what is not there any more.
The exit status is 1 where something is wrong.

Examples:
  smcp policy check
  smcp policy check ./policies                     before they are deployed")]
    Check(PolicyCheck),
    /// Decide about a call without making it: what decides, and what would make it allowed
    #[command(after_help = "\
The first word is allow, approval or deny. Under a rule, '+' is what it demands
and is so, '-' what is not so, and '?' what cannot be told.

Examples:
  smcp policy explain devops__deploy environment=production --agent ci
  smcp policy explain devops__deploy environment=production --agent ci --at 2026-12-05T10:00:00Z
  smcp policy explain devops__deploy --agent new --group ci --policies ./policies")]
    Explain(PolicyExplain),
    /// Decide about a table of calls, and tell which decisions are others than expected
    #[command(after_help = "\
FILE is TOML with a [[case]] for each call, or JSON with a list of them:

  [[case]]
  name = \"ci deploys to production on weekdays with approval\"
  agent = \"ci\"
  groups = [\"ci\"]                  # otherwise those that it is in
  tool = \"devops__deploy\"
  args = { environment = \"production\" }
  at = \"2026-11-30T09:00:00Z\"      # otherwise now
  via = \"call\"                     # or schedule, workflow
  address = \"10.0.0.7\"
  expect = \"approval\"              # or allow, deny
  rules = [\"ci-deploys\"]           # exactly these decide
  obligations = { timeout_ms = 300000 }

The exit status is 1 where a decision is another one.")]
    Test(PolicyTest),
    /// List what an agent may do, tool by tool, and what it needs for it
    Show(PolicyShow),
    /// Decide about past calls once more, and tell which would be decided otherwise
    #[command(after_help = "\
Looks at the audit records of calls. Agents are taken to be in the groups that
they are in today; where a rule looks at an argument that is not shown in the
records, the call is undecidable.

Example:
  smcp policy replay --since 7d --policies ./policies")]
    Replay(PolicyReplay),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyCheck {
    /// Look at the *.cedar files of this directory
    pub(crate) dir: Option<PathBuf>,
    /// Rules may name tools that are not there yet
    #[arg(long, requires = "dir")]
    pub(crate) allow_missing: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyExplain {
    /// The tool, as `smcp tools` lists it
    pub(crate) tool: String,
    #[command(flatten)]
    pub(crate) given: Given,
    /// Who calls
    #[arg(long)]
    pub(crate) agent: String,
    /// As if it were in this group; can be repeated [default: those that it is in]
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// When [default: now]
    #[arg(long, value_name = "TIME", value_parser = super::instant)]
    pub(crate) at: Option<Timestamp>,
    /// By which way
    #[arg(long, value_enum, default_value_t = Way::Call)]
    pub(crate) via: Way,
    /// How the caller is connected: streamable_http, http, sse, stdio or none
    #[arg(long)]
    pub(crate) transport: Option<String>,
    /// Where the caller is
    #[arg(long, value_name = "IP")]
    pub(crate) address: Option<IpAddr>,
    /// Nothing is to be run
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Decide by the *.cedar files of this directory instead of the rules in force
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// By which way a call comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// An agent calls
    Call,
    /// A schedule's time has come
    Schedule,
    /// A step of a workflow
    Workflow,
    /// It has been approved of, and is about to run
    Approval,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTest {
    /// The table: TOML, or JSON where its name ends in .json
    pub(crate) file: PathBuf,
    /// Decide by the *.cedar files of this directory instead of the rules in force
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyShow {
    /// The agent
    #[arg(long)]
    pub(crate) agent: String,
    /// As if it were in this group; can be repeated [default: those that it is in]
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// Go by the *.cedar files of this directory instead of the rules in force
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyReplay {
    /// From that time on: 2026-11-21T09:30:00Z, or how long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = past)]
    pub(crate) since: Timestamp,
    /// Before that time
    #[arg(long, value_name = "TIME", value_parser = past)]
    pub(crate) until: Option<Timestamp>,
    /// Decide by the *.cedar files of this directory instead of the rules in force
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// Tell at most so many calls
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) connection: Connection,
}
