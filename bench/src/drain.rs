//! Claim and finish of jobs that do nothing, by the claim loop of the worker: what the books cost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use smcp_common::audit::Trust;
use smcp_common::job::Claimed;
use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::{Commit, Wake};
use smcp_worker::work::{self, Ending, Run};

use crate::report::Report;
use crate::scratch::{self, Durabilities, Durability, Scratch};
use crate::series::{Series, per_second};
use crate::workload::{new_job, nothing_done};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    durabilities: Durabilities,
    /// Jobs that each run works off
    #[arg(long, default_value_t = 20_000)]
    jobs: usize,
    /// Runs, each on a new database
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    // As in `smcp worker`.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for durability in options.durabilities.iter() {
        let mut series = Series::default();
        for _ in 0..options.runs {
            let directory = scratch.fresh()?;
            let path = directory.path().join("smcp.db");
            runtime.block_on(fill(&path, options.jobs))?;
            let elapsed = runtime.block_on(once(&path, durability, options.jobs))?;
            verify(&path, options.jobs)?;
            series.add("jobs_per_s", per_second(options.jobs, elapsed));
        }
        let case = json!({"durability": durability.to_json(), "jobs": options.jobs});
        report.result("drain", &case, &series)?;
    }
    Ok(())
}

async fn fill(path: &Path, jobs: usize) -> anyhow::Result<()> {
    let queue = scratch::open(path, Durability::Normal, Commit::Inline, Wake::Never)?;
    for _ in 0..jobs {
        queue.submit(new_job()).await?;
    }
    Ok(())
}

/// Works off `jobs` jobs; answers how long that took, from before the first claim to after the last finish.
async fn once(path: &Path, durability: Durability, jobs: usize) -> anyhow::Result<Duration> {
    let queue = scratch::open(path, durability, Commit::Inline, Wake::Auto)?;
    let shutdown = Shutdown::default();
    let countdown = Arc::new(Countdown {
        left: AtomicUsize::new(jobs),
        shutdown: shutdown.clone(),
    });
    let began = Instant::now();
    // The drain that the last job asks for waits until that job's finish has been committed.
    work::run(queue, "bench".into(), countdown, shutdown).await;
    Ok(began.elapsed())
}

/// Does nothing for each job, and ends the worker with the last one.
struct Countdown {
    left: AtomicUsize,
    shutdown: Shutdown,
}

impl Run for Countdown {
    async fn run(&self, _: Claimed) -> Ending {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.shutdown.begin();
        }
        nothing_done()
    }
}

/// A figure counts only if every job was done, and every row of it written.
fn verify(path: &Path, jobs: usize) -> anyhow::Result<()> {
    let condition = smcp_common::queue::check(path, Trust::default())?;
    anyhow::ensure!(
        condition.is_sound(),
        "the database is broken: {condition:?}"
    );
    let database = rusqlite::Connection::open(path)?;
    let sql = "SELECT (SELECT count(*) FROM jobs WHERE state = 'succeeded'),
                      (SELECT count(*) FROM attempts WHERE outcome = 'succeeded'),
                      (SELECT count(*) FROM job_events),
                      (SELECT count(*) FROM audit)";
    let rows: [usize; 4] = database.query_row(sql, [], |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    })?;
    anyhow::ensure!(
        rows == [jobs, jobs, 3 * jobs, 3 * jobs],
        "{jobs} jobs left other rows behind than they should: {rows:?}"
    );
    Ok(())
}
