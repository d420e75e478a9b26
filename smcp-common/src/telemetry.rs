//! How a process logs: to standard error, as text for people or as one JSON object a line.
//!
//! Rules are in ARCHITECTURE.md: a message readable alone, dotted fields, never arguments, output or secrets.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// rmcp's service reports as an error that a client which has gone cannot be answered.
const QUIET: &str =
    "rmcp=warn,rmcp::service=off,apalis=warn,apalis_core=warn,hyper=warn,hyper_util=warn";

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "SMCP_LOG is '{filter}', but must be a level (error, warn, info, debug, trace) or a filter such as info,smcp_worker=debug"
)]
pub struct InvalidFilter {
    /// What it is.
    filter: String,
}

/// Starts logging; the first call of a process counts.
///
/// # Errors
/// [`InvalidFilter`]
pub fn start(log: &Log) -> Result<(), InvalidFilter> {
    // Libraries that narrate every message, requests included, are heard only when named.
    let filter =
        EnvFilter::try_new(format!("{QUIET},{}", log.filter)).map_err(|_| InvalidFilter {
            filter: log.filter.clone(),
        })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where standard error is closed, to say so there would panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let started = if log.json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.try_init()
    };
    // A second start, as in tests, leaves the first in place.
    drop(started);
    Ok(())
}
