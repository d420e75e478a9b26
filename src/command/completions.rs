//! `smcp completions`: a script that lets a shell complete our commands.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::terminal::print;

/// Prints the script of a shell.
pub(crate) fn run(shell: Shell) -> anyhow::Result<ExitCode> {
    // Through memory: the generator panics where its writer fails, as a closed pipe does.
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "smcp", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
