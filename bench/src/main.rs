//! `smcp-bench`: how fast the queue, and the program on it, are on this machine and this disk.
//!
//! Each subcommand measures one thing, several times, and reports the median with the extremes. README.md says what
//! the figures mean.

mod audit;
mod calls;
mod drain;
mod enqueue;
mod history;
mod http;
mod idle;
mod latency;
mod machine;
mod report;
mod sandbox;
mod scratch;
mod secrets;
mod series;
mod server;
mod sessions;
mod sse;
mod torture;
mod workload;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use self::report::Report;
use self::scratch::Scratch;

/// Measures SMCP on this machine.
#[derive(Debug, Parser)]
#[command(name = "smcp-bench", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    /// Directory for the databases, on the disk to be measured [default: bench beside the build's profile]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object a result
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Record jobs durably, one caller at a time and many at once
    Enqueue(enqueue::Options),
    /// Claim and finish no-op jobs in one worker
    Drain(drain::Options),
    /// From a commit in one process to the start of the handler in another, idle one
    Latency(latency::Options),
    /// Claim with a long history, and with many jobs of the future
    History(history::Options),
    /// CPU time and memory of an API and a worker with nothing to do
    Idle(idle::Options),
    /// Verify a chain of audit records, as a database and as an export
    Audit(audit::Options),
    /// Strike secrets out of an output, and seal all of them under a new key
    Secrets(secrets::Options),
    /// Call tools over HTTP+SSE
    Calls(calls::Options),
    /// Run a plugin with and without its sandbox, cold and warm
    Sandbox(sandbox::Options),
    /// Many sessions with a call each: what they cost, and whether anything gets lost
    Sessions(sessions::Options),
    /// Kill processes while jobs run, and count what became of these
    Torture(torture::Options),
    /// The other process of `latency`
    #[command(hide = true)]
    Worker(latency::Worker),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Bench::Worker(options) = &cli.bench {
        return latency::worker(options);
    }
    let scratch = Scratch::below(cli.dir)?;
    if let Bench::Torture(options) = &cli.bench {
        return torture::run(options, &scratch, cli.json);
    }
    let report = Report::begin(cli.json, scratch.path())?;
    match &cli.bench {
        Bench::Enqueue(options) => enqueue::run(options, &scratch, &report),
        Bench::Drain(options) => drain::run(options, &scratch, &report),
        Bench::Latency(options) => latency::run(options, &scratch, &report),
        Bench::History(options) => history::run(options, &scratch, &report),
        Bench::Idle(options) => idle::run(options, &scratch, &report),
        Bench::Audit(options) => audit::run(options, &scratch, &report),
        Bench::Secrets(options) => secrets::run(options, &scratch, &report),
        Bench::Calls(options) => calls::run(options, &scratch, &report),
        Bench::Sandbox(options) => sandbox::run_all(options, &scratch, &report),
        Bench::Sessions(options) => sessions::run(options, &scratch, &report),
        Bench::Torture(_) | Bench::Worker(_) => Ok(()),
    }
}
