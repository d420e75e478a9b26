//! Durable submit, as the API does it: many callers, one committing thread.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use smcp_common::queue::{Commit, Wake};

use crate::report::Report;
use crate::scratch::{self, Durabilities, Durability, Scratch};
use crate::series::{Series, per_second, percentile, sorted_ms};
use crate::workload::new_job;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    durabilities: Durabilities,
    /// Jobs that each run records, for each number of callers
    #[arg(long, value_delimiter = ',', default_values_t = [8_000, 128_000])]
    jobs: Vec<usize>,
    /// Callers at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    callers: Vec<usize>,
    /// Runs, each on a new database
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.jobs.len() == options.callers.len(),
        "--jobs needs as many numbers as --callers"
    );
    // As in `smcp api`.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    for durability in options.durabilities.iter() {
        for (&callers, &jobs) in options.callers.iter().zip(&options.jobs) {
            let mut series = Series::default();
            for _ in 0..options.runs {
                let directory = scratch.fresh()?;
                let path = directory.path().join("smcp.db");
                let each = jobs.div_ceil(callers);
                let (elapsed, waits) = runtime.block_on(once(&path, durability, callers, each))?;
                let waits = sorted_ms(waits);
                series.add("jobs_per_s", per_second(waits.len(), elapsed));
                series.add("p50_ms", percentile(&waits, 50));
                series.add("p99_ms", percentile(&waits, 99));
                series.add("max_ms", percentile(&waits, 100));
            }
            let case = json!({"durability": durability.to_json(), "callers": callers});
            report.result("enqueue", &case, &series)?;
        }
    }
    Ok(())
}

/// Has each caller submit `each` jobs one after the other. Answers how long it took, and how long each submit did.
async fn once(
    path: &Path,
    durability: Durability,
    callers: usize,
    each: usize,
) -> anyhow::Result<(Duration, Vec<Duration>)> {
    let queue = scratch::open(path, durability, Commit::Grouped, Wake::Auto)?;
    let batches: Vec<Vec<_>> = (0..callers)
        .map(|_| (0..each).map(|_| new_job()).collect())
        .collect();
    let began = Instant::now();
    let callers: Vec<_> = batches
        .into_iter()
        .map(|jobs| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut waits = Vec::with_capacity(jobs.len());
                for job in jobs {
                    let asked = Instant::now();
                    queue.submit(job).await?;
                    waits.push(asked.elapsed());
                }
                anyhow::Ok(waits)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await??);
    }
    Ok((began.elapsed(), waits))
}
