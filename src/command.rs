//! The operator's commands: each asks the API, or reads a file, and prints.

pub(crate) mod agents;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod completions;
pub(crate) mod database;
pub(crate) mod doctor;
pub(crate) mod jobs;
pub(crate) mod plugins;
pub(crate) mod policy;
pub(crate) mod queues;
pub(crate) mod schedules;
pub(crate) mod secrets;
pub(crate) mod settings;
pub(crate) mod telegram;
pub(crate) mod tools;
pub(crate) mod workers;
pub(crate) mod workflows;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::Connection;
use crate::client::{Client, Target};

/// Runs a command that talks: one thread is enough for one conversation.
fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(command)
}

/// Opens a session, lets `command` use it, and ends it.
fn with_client(
    connection: &Connection,
    command: impl AsyncFnOnce(&mut Client) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let target = Target::of(connection)?;
    block_on(async {
        let mut client = Client::connect(&target).await?;
        let code = command(&mut client).await;
        client.close().await;
        code
    })
}
