//! What an API and a worker cost while nobody wants anything.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::report::Report;
use crate::scratch::Scratch;
use crate::series::Series;
use crate::server::{Program, Server};

/// From the moment that tools are offered until everything that a start sets off has ended.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    program: Program,
    /// How long each run watches
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Runs, each with new processes
    #[arg(long, default_value_t = 1)]
    runs: usize,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut series = Series::default();
    for _ in 0..options.runs {
        let directory = scratch.fresh()?;
        runtime.block_on(async {
            let server =
                Server::start(&options.program, directory.path(), "demo_math__calculate").await?;
            tokio::time::sleep(SETTLE).await;
            let before = (server.api.cpu()?, server.worker.cpu()?);
            tokio::time::sleep(Duration::from_secs(options.seconds)).await;
            let after = (server.api.cpu()?, server.worker.cpu()?);
            let ms = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1e3;
            series.add("api_cpu_ms", ms(before.0, after.0));
            series.add("worker_cpu_ms", ms(before.1, after.1));
            series.add("api_rss_mib", server.api.resident_mib()?);
            series.add("worker_rss_mib", server.worker.resident_mib()?);
            server.stop().await
        })?;
    }
    report.result("idle", &json!({"seconds": options.seconds}), &series)
}
