//! How a process logs: to standard error and, where that is wanted, to a file; as text for people or as one JSON object a line.
//!
//! Rules are in ARCHITECTURE.md: a message readable alone, dotted fields, never arguments, output or secrets.

mod log_file;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use self::log_file::Rotating;
use crate::clock::SystemClock;
use crate::config::Log;

/// rmcp's service reports as an error that a client which has gone cannot be answered.
const QUIET: &str =
    "rmcp=warn,rmcp::service=off,apalis=warn,apalis_core=warn,hyper=warn,hyper_util=warn";

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error(
        "SMCP_LOG is '{filter}', but must be a level (error, warn, info, debug, trace) or a filter such as info,smcp_worker=debug"
    )]
    Filter {
        /// What it is.
        filter: String,
    },
    /// The file cannot be written.
    #[error("cannot write the log file {}", path.display())]
    File {
        /// Where it was to be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Starts logging; the first call of a process counts.
///
/// # Errors
/// [`TelemetryError`]
pub fn start(log: &Log) -> Result<(), TelemetryError> {
    // Libraries that narrate every message, requests included, are heard only when named.
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.filter)).map_err(|_| {
        TelemetryError::Filter {
            filter: log.filter.clone(),
        }
    })?;
    let file = log.file.clone().map(|file| {
        let path = file.path.clone();
        Rotating::open(file, Arc::new(SystemClock))
            .map_err(|source| TelemetryError::File { path, source })
    });
    let file = file.transpose()?.map(Arc::new);
    let started = Registry::default()
        .with(filter)
        .with(lines(log, io::stderr, io::stderr().is_terminal()))
        .with(file.map(|file| lines(log, file, false)))
        .try_init();
    // A second start, as in tests, leaves the first in place.
    drop(started);
    Ok(())
}

/// What writes events as lines.
fn lines<S, W>(log: &Log, writer: W, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // Where it cannot be written, to say so on standard error would panic if that is closed.
        .log_internal_errors(false)
        .with_ansi(ansi)
        .with_target(false);
    if log.json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.boxed()
    }
}
