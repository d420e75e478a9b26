//! The command line: types and help texts only.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, which a terminal shows without markdown"
)]

mod agents;
mod approvals;
mod audit;
mod doctor;
mod operate;
mod plugins;
mod policy;
mod schedules;
mod secrets;
mod settings;
mod telegram;
mod workers;
mod workflows;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use smcp_common::clock::Timestamp;
use smcp_common::job::{JobId, StateName};

pub(crate) use self::agents::{
    Agents, AgentsAdd, AgentsGroups, AgentsList, AgentsRevoke, AgentsRotate,
};
pub(crate) use self::approvals::{Approvals, ApprovalsSay, ApprovalsShow};
pub(crate) use self::audit::{
    Audit, AuditExport, AuditSearch, AuditTail, AuditVerify, Format as AuditFormat, Span,
};
pub(crate) use self::doctor::Doctor;
pub(crate) use self::operate::{
    Consent, JobsCancel, JobsFlush, JobsPriority, JobsRequeueDead, JobsRetry, Queues, QueuesList,
    QueuesPause, QueuesResume, Scope, Which,
};
pub(crate) use self::plugins::{Plugins, PluginsAccept, PluginsCheck, PluginsDiff, PluginsList};
pub(crate) use self::policy::{
    Policy, PolicyCheck, PolicyExplain, PolicyReplay, PolicyShow, PolicyTest, Way,
};
pub(crate) use self::schedules::{ScheduleAdd, ScheduleList, ScheduleNext, ScheduleRef, Schedules};
pub(crate) use self::secrets::{
    Secrets, SecretsImportLetta, SecretsList, SecretsRemove, SecretsRotateKey, SecretsSet,
};
pub(crate) use self::workflows::{
    WorkflowRef, Workflows, WorkflowsCancel, WorkflowsList, WorkflowsSubmit,
};
use crate::duration;

pub(crate) use self::settings::{Settings, SettingsGet, SettingsList, SettingsSet};
pub(crate) use self::telegram::{Telegram, TelegramLogin};
pub(crate) use self::workers::{Workers, WorkersDrain, WorkersList, WorkersScale};

/// A control layer between AI agents and this machine.
///
/// SMCP offers the commands of your plugins to AI agents as MCP tools. Every call becomes a durable job: recorded
/// before it runs, run by a separate worker, and kept with its result.
#[derive(Debug, Parser)]
#[command(name = "smcp", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  smcp up                                          start everything
  smcp tools                                       list what can be called
  smcp call demo_math__calculate expression='2+2'  call a tool
  smcp jobs list                                   list what was called
  smcp schedules next --cron '0 9 * * 1'           when would that be?";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the API and its workers on this machine, and keep them running
    Up(Up),
    /// Call a tool, and print its answer
    Call(Call),
    /// List the tools that can be called, with their parameters
    Tools(Tools),
    /// List, follow, stop and repeat jobs
    #[command(subcommand)]
    Jobs(Jobs),
    /// List what waits for an approval, and approve of it or deny it
    #[command(subcommand)]
    Approvals(Approvals),
    /// Run tools again and again, at the times of a cron expression
    #[command(subcommand)]
    Schedules(Schedules),
    /// Submit, follow and stop workflows: steps that wait for each other
    #[command(subcommand)]
    Workflows(Workflows),
    /// Show how the queue stands; pause, resume and drain it, or parts of it
    #[command(subcommand)]
    Queues(Queues),
    /// List, add, remove and replace workers
    #[command(subcommand)]
    Workers(Workers),
    /// Look at the rules, try them out, and tell what they allow
    #[command(subcommand)]
    Policy(Policy),
    /// Add agents, give them keys and groups, and end them
    #[command(subcommand)]
    Agents(Agents),
    /// List and change what can be set while SMCP runs
    #[command(subcommand)]
    Settings(Settings),
    /// Show, search, export and verify the record of what was done
    #[command(subcommand)]
    Audit(Audit),
    /// Store secrets, encrypted, for the plugins that declare them
    #[command(subcommand)]
    Secrets(Secrets),
    /// Log in to Telegram, for the plugin that makes and keeps its bots
    #[command(subcommand)]
    Telegram(Telegram),
    /// List, check and reload plugins
    #[command(subcommand)]
    Plugins(Plugins),
    /// Back up and check the database
    #[command(subcommand)]
    Db(Db),
    /// Tell how well this machine can keep plugins to their sandboxes, and how to mend what is missing
    Doctor(Doctor),
    /// Run the API alone, as under systemd or in a container
    Api(Api),
    /// Run one worker alone, as under systemd or in a container
    Worker(Worker),
    /// Serve MCP on standard input and output, for clients that start their servers themselves
    Stdio(Stdio),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  smcp completions bash > ~/.local/share/bash-completion/completions/smcp"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Where SMCP keeps what it knows.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Storage")]
pub(crate) struct Storage {
    /// Directory of the database and keys [env: SMCP_DATA_DIR] [default: ~/.local/share/smcp]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// SQLite file [env: SMCP_DATABASE_URL] [default: smcp.db in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) database: Option<String>,
}

/// Where the API listens, and to whom.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct Listener {
    /// Address to listen on [env: MCP_HOST] [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// Port to listen on; 0 takes a free one [env: MCP_PORT] [default: 8000]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Listen on every address of this machine; needs an API key (MCP_API_KEY)
    #[arg(long)]
    pub(crate) allow_external: bool,
    /// Ask callers on this machine for an API key, too
    #[arg(long)]
    pub(crate) require_auth: bool,
    /// Time limit of tools that declare none; 0 means none [env: MCP_PLUGIN_TIMEOUT] [default: 300]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) plugin_timeout: Option<f64>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Settings can also stand in a file smcp.toml, here or in the data directory.
Ctrl-C lets running jobs finish; a second Ctrl-C stops at once.

Examples:
  smcp up
  smcp up --plugins ./my-plugins --workers 4
  MCP_API_KEY=secret smcp up --allow-external --port 9000")]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) listener: Listener,
    #[command(flatten)]
    pub(crate) storage: Storage,
    /// Worker processes to keep running [env: SMCP_WORKERS] [default: as `smcp workers scale` has said, else 1]
    #[arg(long, value_name = "N", help_heading = "Workers")]
    pub(crate) workers: Option<u16>,
    /// Directories of plugins, joined by ':' [env: MCP_PLUGINS_DIR] [default: ./plugins, else the bundled ones]
    #[arg(long, value_name = "DIRS", help_heading = "Workers")]
    pub(crate) plugins: Option<String>,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
The API runs no plugin: it needs a worker on the same database.

Example:
  smcp api --data-dir /var/lib/smcp --port 8000")]
pub(crate) struct Api {
    #[command(flatten)]
    pub(crate) listener: Listener,
    #[command(flatten)]
    pub(crate) storage: Storage,
    #[command(flatten)]
    pub(crate) supervision: Supervision,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
A worker runs one job at a time and listens on no port.

Example:
  smcp worker --data-dir /var/lib/smcp --plugins /opt/smcp/plugins")]
pub(crate) struct Worker {
    /// Directories of plugins, joined by ':' [env: MCP_PLUGINS_DIR] [default: ./plugins, else the bundled ones]
    #[arg(long, value_name = "DIRS")]
    pub(crate) plugins: Option<String>,
    /// Time limit of scheduled runs of tools that declare none; 0 means none [env: MCP_PLUGIN_TIMEOUT] [default: 300]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) plugin_timeout: Option<f64>,
    #[command(flatten)]
    pub(crate) storage: Storage,
    #[command(flatten)]
    pub(crate) supervision: Supervision,
    /// Started by smcp up, which ends it where fewer workers are wanted
    #[arg(long, hide = true)]
    pub(crate) managed: bool,
}

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
For the settings of an MCP client: {\"command\": \"smcp\", \"args\": [\"stdio\"]}. Each line of standard
input and output is one JSON-RPC message; logs go to standard error.

Jobs go into the same queue as those of smcp up, which may run or not. Where no
worker runs, one is started; it ends with this process, after the job that it
has begun. The end of standard input ends the session.

Examples:
  smcp stdio
  smcp stdio --data-dir /var/lib/smcp --workers 0")]
pub(crate) struct Stdio {
    #[command(flatten)]
    pub(crate) storage: Storage,
    /// Worker processes to start, whether others run or not [default: 1 as soon as there is no other]
    #[arg(long, value_name = "N", help_heading = "Workers")]
    pub(crate) workers: Option<u16>,
    /// Directories of plugins, joined by ':' [env: MCP_PLUGINS_DIR] [default: ./plugins, else the bundled ones]
    #[arg(long, value_name = "DIRS", help_heading = "Workers")]
    pub(crate) plugins: Option<String>,
    /// Time limit of tools that declare none; 0 means none [env: MCP_PLUGIN_TIMEOUT] [default: 300]
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        help_heading = "Workers"
    )]
    pub(crate) plugin_timeout: Option<f64>,
}

/// How a role knows that it is a child of `smcp up`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Supervision {
    /// Stop when standard input ends; tell on standard output where the API listens
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}

/// How to reach the API.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Address of the API [default: http://127.0.0.1:8000, or the port in MCP_PORT]
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// API key [env: SMCP_API_KEY] [default: the operator's key in the data directory]
    #[arg(long, value_name = "KEY")]
    pub(crate) api_key: Option<String>,
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
}

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
    /// Its arguments
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) arguments: Vec<String>,
    /// Arguments as one JSON object; '-' reads it from standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) args: Option<String>,
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
    /// Only jobs in that state: queued, running, succeeded, failed, cancelled or outcome_unknown
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

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Copy the database to a new file; SMCP may be running
    #[command(after_help = "\
To restore, stop SMCP and put the copy in the place of the database.

Example:
  smcp db backup /backup/smcp-2026-11-21.db")]
    Backup(DbBackup),
    /// Look for damage in the database and for gaps in the audit chain; SMCP may be running
    Check(DbCheck),
}

#[derive(Debug, Args)]
pub(crate) struct DbBackup {
    /// The new file; an existing one is never overwritten
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) storage: Storage,
}

#[derive(Debug, Args)]
pub(crate) struct DbCheck {
    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) storage: Storage,
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| {
        "write a time with its zone, such as 2026-11-21T09:30:00Z or 2026-11-21T10:30:00+01:00"
            .to_owned()
    })
}

fn state(text: &str) -> Result<StateName, String> {
    StateName::parse(text).ok_or_else(|| {
        let states: Vec<_> = StateName::ALL.iter().map(|state| state.as_str()).collect();
        format!("a state is one of {}", states.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_and_a_delay_exclude_each_other() {
        let parse =
            |arguments: &[&str]| Cli::try_parse_from([&["smcp", "call", "t"], arguments].concat());
        assert!(parse(&["--at", "2026-11-21T09:30:00Z"]).is_ok());
        assert!(parse(&["--in", "10m", "a=b"]).is_ok());
        assert!(parse(&["--at", "2026-11-21T09:30:00Z", "--in", "10m"]).is_err());
        assert!(
            parse(&["--in", "soon"])
                .unwrap_err()
                .to_string()
                .contains("such as 90s")
        );
    }

    #[test]
    fn job_ids_and_states_are_checked_before_anybody_is_asked() {
        for arguments in [
            ["jobs", "show", "latest"].as_slice(),
            &["jobs", "list", "--state", "done"],
        ] {
            let refused = Cli::try_parse_from([&["smcp"], arguments].concat()).unwrap_err();
            assert_eq!(refused.exit_code(), 2);
        }
    }
}
