//! The `smcp` command: one binary for every role and for the operator.
//!
//! This file only tells which part is meant. Nothing here runs a plugin, speaks SQL or decides about a call.

mod arguments;
mod cli;
mod client;
mod command;
mod data_directory;
mod duration;
mod failure;
mod open_files;
mod role;
mod settings;
mod stdio;
mod table;
mod terminal;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

use self::cli::{Cli, Command};

fn main() -> ExitCode {
    // Before anything else: that process confines itself, which it can do only while nothing has started in it.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|name| name == "sandbox-exec")
    {
        return smcp_worker::sandbox::exec::main();
    }
    run(Cli::parse().command).unwrap_or_else(|error| failure::report(&error))
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(options) => up::run(&options),
        Command::Api(options) => role::api(&options),
        Command::Worker(options) => role::worker(&options),
        Command::Stdio(options) => stdio::run(&options),
        Command::Tools(options) => command::tools::run(&options),
        Command::Call(options) => command::call::run(&options),
        Command::Approvals(what) => command::approvals::run(what),
        Command::Jobs(what) => command::jobs::run(what),
        Command::Policy(what) => command::policy::run(what),
        Command::Agents(what) => command::agents::run(what),
        Command::Audit(what) => command::audit::run(what),
        Command::Plugins(what) => command::plugins::run(what),
        Command::Queues(what) => command::queues::run(what),
        Command::Secrets(what) => command::secrets::run(what),
        Command::Telegram(what) => command::telegram::run(what),
        Command::Settings(what) => command::settings::run(what),
        Command::Workers(what) => command::workers::run(what),
        Command::Schedules(what) => command::schedules::run(what),
        Command::Db(what) => command::database::run(what),
        Command::Doctor(options) => command::doctor::run(&options),
        Command::Workflows(what) => command::workflows::run(what),
        Command::Completions { shell } => command::completions::run(shell),
    }
}
