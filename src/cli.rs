//! The command line: types and help texts only.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help texts, which a terminal shows without markdown"
)]

mod agents;
mod approvals;
mod audit;
mod call;
mod database;
mod doctor;
mod jobs;
mod operate;
mod plugins;
mod policy;
mod roles;
mod schedules;
mod secrets;
mod settings;
mod telegram;
mod workers;
mod workflows;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use smcp_common::clock::Timestamp;

pub(crate) use self::agents::{
    Agents, AgentsAdd, AgentsGroups, AgentsList, AgentsRevoke, AgentsRotate, AgentsSet, AtATime,
};
pub(crate) use self::approvals::{Approvals, ApprovalsSay, ApprovalsShow};
pub(crate) use self::audit::{
    Audit, AuditExport, AuditSearch, AuditTail, AuditVerify, Format as AuditFormat, Span,
};
pub(crate) use self::call::{Call, Given, Tools};
pub(crate) use self::database::{Db, DbBackup, DbCheck};
pub(crate) use self::doctor::Doctor;
pub(crate) use self::jobs::{JobRef, Jobs, JobsList};
pub(crate) use self::operate::{
    Consent, JobsCancel, JobsFlush, JobsPriority, JobsRequeueDead, JobsRetry, Queues, QueuesList,
    QueuesPause, QueuesResume, Scope, Which,
};
pub(crate) use self::plugins::{
    Language, Plugins, PluginsAccept, PluginsCheck, PluginsDiff, PluginsList, PluginsNew,
};
pub(crate) use self::policy::{
    Policy, PolicyCheck, PolicyExplain, PolicyReplay, PolicyShow, PolicyTest, Way,
};
pub(crate) use self::roles::{
    Api, Listener, PluginDirectories, Stdio, Storage, Supervision, Up, Worker,
};
pub(crate) use self::schedules::{ScheduleAdd, ScheduleList, ScheduleNext, ScheduleRef, Schedules};
pub(crate) use self::secrets::{
    Secrets, SecretsImportLetta, SecretsList, SecretsRemove, SecretsRotateKey, SecretsSet,
};
pub(crate) use self::settings::{Settings, SettingsGet, SettingsList, SettingsSet};
pub(crate) use self::telegram::{Telegram, TelegramLogin};
pub(crate) use self::workers::{Workers, WorkersDrain, WorkersList, WorkersScale};
pub(crate) use self::workflows::{
    WorkflowRef, Workflows, WorkflowsCancel, WorkflowsList, WorkflowsSubmit,
};

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
    /// Add agents, give them keys, groups and limits, and end them
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
    /// Begin, check, list and accept plugins
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

/// A time with its zone.
fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| {
        "write a time with its zone, such as 2026-11-21T09:30:00Z or 2026-11-21T10:30:00+01:00"
            .to_owned()
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
