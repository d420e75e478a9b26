//! From a commit in one process to the start of the handler in another that has nothing else to do.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use smcp_common::job::{Claimed, JobId};
use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::{Commit, Queue, Wake};
use smcp_worker::work::{self, Ending, Run};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::report::Report;
use crate::scratch::{self, Durabilities, Durability, Scratch};
use crate::series::{Series, percentile};
use crate::workload::{new_job, nothing_done};

/// Between two jobs, so that both processes sleep when the next one comes.
const PAUSE: Duration = Duration::from_millis(5);
/// Jobs before those that count: statements are prepared, pages read.
const WARM_UP: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    durabilities: Durabilities,
    /// Jobs in each run, one at a time
    #[arg(long, default_value_t = 400)]
    jobs: usize,
    /// Runs, each with a new worker on a new database
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// The arguments of the worker process.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[arg(long)]
    database: PathBuf,
    #[arg(long)]
    durability: Durability,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    // As in `smcp api`.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    for durability in options.durabilities.iter() {
        let mut series = Series::default();
        for _ in 0..options.runs {
            let directory = scratch.fresh()?;
            let path = directory.path().join("smcp.db");
            let waits = runtime.block_on(once(&path, durability, options.jobs))?;
            for (figure, percent) in [("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99)] {
                series.add(figure, percentile(&waits, percent));
            }
            series.add("max_ms", percentile(&waits, 100));
        }
        let case = json!({"durability": durability.to_json(), "jobs": options.jobs});
        report.result("latency", &case, &series)?;
    }
    Ok(())
}

/// Submits one job at a time; answers the milliseconds from its commit to its start, ascending.
async fn once(path: &Path, durability: Durability, jobs: usize) -> anyhow::Result<Vec<f64>> {
    let queue = scratch::open(path, durability, Commit::Grouped, Wake::Auto)?;
    let mut worker = spawn(path, durability)?;
    let mut starts = worker
        .stdout
        .take()
        .map(|stdout| BufReader::new(stdout).lines())
        .context("the worker has no standard output")?;
    let mut waits = Vec::with_capacity(jobs);
    for n in 0..WARM_UP + jobs {
        tokio::time::sleep(PAUSE).await;
        let job = queue.submit(new_job()).await?.id;
        let committed = monotonic_ns();
        let started = start_of(&job, &mut starts).await?;
        finished(&queue, &job).await?;
        if n >= WARM_UP {
            // The worker may be quicker than the way back to us from the thread that committed.
            waits.push(milliseconds(started - committed));
        }
    }
    drop(worker.stdin.take());
    worker.wait().await?;
    waits.sort_unstable_by(f64::total_cmp);
    Ok(waits)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the other process of the measurement: this program itself"
)]
fn spawn(path: &Path, durability: Durability) -> anyhow::Result<Child> {
    let worker = tokio::process::Command::new(std::env::current_exe()?)
        .args(["worker", "--durability", durability.as_str(), "--database"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok(worker)
}

async fn start_of(job: &JobId, starts: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<i64> {
    let line = starts
        .next_line()
        .await?
        .context("the worker has ended too early")?;
    let (id, at) = line
        .split_once(' ')
        .with_context(|| format!("the worker says '{line}'"))?;
    anyhow::ensure!(id == job.as_str(), "the worker runs {id} instead of {job}");
    Ok(at.parse()?)
}

async fn finished(queue: &Queue, job: &JobId) -> anyhow::Result<()> {
    let mut news = queue.news();
    loop {
        news.mark_unchanged();
        if queue.job(job)?.is_some_and(|job| job.state.is_final()) {
            return Ok(());
        }
        news.changed().await?;
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a latency in nanoseconds is far below 2^52"
)]
fn milliseconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// A clock that all processes of a machine share, and that nobody sets.
fn monotonic_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// The worker process: says when it starts each job, until its standard input ends.
pub(crate) fn worker(options: &Worker) -> anyhow::Result<()> {
    // As in `smcp worker`.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let shutdown = Shutdown::default();
    std::thread::spawn({
        let shutdown = shutdown.clone();
        move || {
            drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
            shutdown.begin();
        }
    });
    runtime.block_on(async {
        let Worker {
            database,
            durability,
        } = options;
        let queue = scratch::open(database, *durability, Commit::Inline, Wake::Auto)?;
        work::run(queue, "bench".into(), Arc::new(Stamp), shutdown).await;
        Ok(())
    })
}

/// Says when a job starts, and does nothing else for it.
struct Stamp;

impl Run for Stamp {
    async fn run(&self, job: Claimed) -> Ending {
        let started = monotonic_ns();
        // Where the parent is gone, standard input ends, too.
        drop(writeln!(io::stdout(), "{} {started}", job.id));
        nothing_done()
    }
}
