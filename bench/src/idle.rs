//! What an API and a worker cost while nobody wants anything, and how soon they are there when somebody does.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, json};
use smcp_common::clock::{Clock as _, SystemClock, Timestamp};
use smcp_common::job::{JobId, NewJob, StateName};
use smcp_common::queue::{Commit, Queue, Wake};
use smcp_common::schedule::{CatchUp, Overlap, Schedule, Spec, Target};

use crate::report::Report;
use crate::scratch::{self, Durability, Scratch};
use crate::series::{Series, percentile, sorted_ms};
use crate::server::{Program, Server};
use crate::workload::new_job;

/// From the moment that everything is in place until all that a start sets off has ended.
const SETTLE: Duration = Duration::from_secs(5);
/// What waits falls due so much later at the earliest: no run takes that long.
const FUTURE: Duration = Duration::from_hours(24);
/// Jobs whose start is waited for, and those before them that do not count.
const JOBS: usize = 100;
const WARM_UP: usize = 10;

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
    /// Measures the same again with so many jobs that fall due in a day
    #[arg(long, default_value_t = 0)]
    future_jobs: u32,
    /// And with so many schedules, none of which is due within a day
    #[arg(long, default_value_t = 0)]
    future_schedules: u32,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let future = (options.future_jobs, options.future_schedules);
    let beside = (future != (0, 0)).then_some(future);
    for future in [Some((0, 0)), beside].into_iter().flatten() {
        let mut series = Series::default();
        for _ in 0..options.runs {
            let directory = scratch.fresh()?;
            runtime.block_on(once(options, future, directory.path(), &mut series))?;
        }
        let (jobs, schedules) = future;
        let case =
            json!({"seconds": options.seconds, "future_jobs": jobs, "future_schedules": schedules});
        report.result("idle", &case, &series)?;
    }
    Ok(())
}

async fn once(
    options: &Options,
    future: (u32, u32),
    data: &Path,
    series: &mut Series,
) -> anyhow::Result<()> {
    let server = Server::start(&options.program, data, "demo_math__calculate").await?;
    fill(data, future).await?;
    tokio::time::sleep(SETTLE).await;
    let before = (server.api.cpu()?, server.worker.cpu()?);
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let after = (server.api.cpu()?, server.worker.cpu()?);
    let ms = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1e3;
    series.add("api_cpu_ms", ms(before.0, after.0));
    series.add("worker_cpu_ms", ms(before.1, after.1));
    series.add("api_rss_mib", server.api.resident_mib()?);
    series.add("worker_rss_mib", server.worker.resident_mib()?);
    let waits = starts(data).await?;
    for (figure, percent) in [("start_p50_ms", 50), ("start_p99_ms", 99)] {
        series.add(figure, percentile(&waits, percent));
    }
    server.stop().await
}

/// Records what waits for its time. The database is closed again: a listener of ours would cost the others something.
async fn fill(data: &Path, (jobs, schedules): (u32, u32)) -> anyhow::Result<()> {
    let queue = open(data, Wake::Never)?;
    let due = SystemClock.now().plus(FUTURE);
    for n in 0..jobs {
        let job = NewJob {
            run_at: Some(due.plus(Duration::from_secs(n.into()))),
            ..new_job()
        };
        queue.submit(job).await?;
    }
    for n in 0..schedules {
        let (id, name) = (Schedule::random_id(), format!("schedule-{n}"));
        queue
            .create_schedule(&id, "local", &name, spec(due))
            .await?;
    }
    Ok(())
}

/// Every second, but not before that instant.
fn spec(start_at: Timestamp) -> Spec {
    Spec {
        cron: "* * * * * *".into(),
        zone: "Europe/Berlin".into(),
        target: Target::Tool {
            tool: "demo_math__coin_flip".into(),
            arguments: Map::new(),
        },
        start_at: Some(start_at),
        end_at: None,
        max_runs: None,
        jitter: Duration::ZERO,
        overlap: Overlap::default(),
        catch_up: CatchUp::default(),
        catch_up_window: Duration::ZERO,
        retry: None,
        priority: 0,
    }
}

/// Submits one job at a time; answers the milliseconds from its commit until we hear of its start, ascending.
async fn starts(data: &Path) -> anyhow::Result<Vec<f64>> {
    let queue = open(data, Wake::Auto)?;
    let mut waits = Vec::with_capacity(JOBS);
    for n in 0..WARM_UP + JOBS {
        let job = queue.submit(new_job()).await?.id;
        let committed = Instant::now();
        until(&queue, &job, |state| state != StateName::Queued).await?;
        if n >= WARM_UP {
            waits.push(committed.elapsed());
        }
        until(&queue, &job, StateName::is_final).await?;
    }
    Ok(sorted_ms(waits))
}

async fn until(queue: &Queue, job: &JobId, is: impl Fn(StateName) -> bool) -> anyhow::Result<()> {
    let mut news = queue.news();
    loop {
        news.mark_unchanged();
        if queue.job(job)?.is_some_and(|job| is(job.state)) {
            return Ok(());
        }
        news.changed().await?;
    }
}

fn open(data: &Path, wake: Wake) -> anyhow::Result<Queue> {
    let path = data.join("smcp.db");
    scratch::open(&path, Durability::Full, Commit::Inline, wake)
}
