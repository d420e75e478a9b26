//! What a claim costs after a million jobs, and before a hundred thousand that are not due yet.

mod fill;

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use smcp_common::job::Outcome;
use smcp_common::queue::{Commit, Finish, Hold, Queue, Wake, Work};
use tempfile::TempDir;

use crate::report::Report;
use crate::scratch::{self, Durabilities, Durability, Scratch};
use crate::series::{Series, percentile, sorted_ms};
use crate::workload::new_job;

const WORKER: &str = "bench";
/// A run alternates between the databases this often, so that a change of the machine's mood hits them all.
const ROUNDS: usize = 8;
/// Claims after each opening that do not count: they fill the new connection's cache.
const WARM_UP: usize = 10;
/// Claims after each opening that count.
const CLAIMS: usize = 50;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    durabilities: Durabilities,
    /// Finished jobs in the first database
    #[arg(long, default_value_t = 1_000_000)]
    finished: u32,
    /// Jobs of a higher priority, due in an hour, in the second database
    #[arg(long, default_value_t = 100_000)]
    future: u32,
    /// Runs
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(options: &Options, scratch: &Scratch, report: &Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let durabilities: Vec<_> = options.durabilities.iter().collect();
    let claims = durabilities.len() * options.runs * ROUNDS * (WARM_UP + CLAIMS);
    let mut worlds = [
        World::new(scratch, "p50_empty_ms", None)?,
        World::new(scratch, "p50_finished_ms", Some("finished_ratio"))?,
        World::new(scratch, "p50_future_ms", Some("future_ratio"))?,
    ];
    fill::finished(&worlds[1].path(), options.finished)?;
    fill::future(&worlds[2].path(), options.future)?;
    for world in &worlds {
        runtime.block_on(submit(&world.path(), claims))?;
        fill::settle(&world.path())?;
    }
    for durability in durabilities {
        let mut series = Series::default();
        for _ in 0..options.runs {
            for round in 0..ROUNDS {
                for n in 0..worlds.len() {
                    let world = &mut worlds[(round + n) % 3];
                    let took = runtime.block_on(claim(&world.path(), durability))?;
                    world.took.extend(took);
                }
            }
            let mut empty = None;
            for world in &mut worlds {
                let p50 = percentile(&sorted_ms(world.took.drain(..)), 50);
                series.add(world.figure, p50);
                match (world.ratio, empty) {
                    (Some(ratio), Some(empty)) => series.add(ratio, p50 / empty),
                    (_, _) => empty = Some(p50),
                }
            }
        }
        let case = json!({
            "durability": durability.to_json(),
            "finished": options.finished,
            "future": options.future,
        });
        report.result("history", &case, &series)?;
    }
    Ok(())
}

/// One of the databases that are compared.
struct World {
    directory: TempDir,
    figure: &'static str,
    /// The name of its ratio to the first of them.
    ratio: Option<&'static str>,
    took: Vec<Duration>,
}

impl World {
    fn new(
        scratch: &Scratch,
        figure: &'static str,
        ratio: Option<&'static str>,
    ) -> anyhow::Result<Self> {
        let world = Self {
            directory: scratch.fresh()?,
            figure,
            ratio,
            took: Vec::new(),
        };
        fill::create(&world.path())?;
        Ok(world)
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("smcp.db")
    }
}

/// The jobs that will be claimed: due, and the same in each database.
async fn submit(path: &Path, jobs: usize) -> anyhow::Result<()> {
    let queue = scratch::open(path, Durability::Normal, Commit::Inline, Wake::Never)?;
    for _ in 0..jobs {
        queue.submit(new_job()).await?;
    }
    Ok(())
}

/// Opens the database anew and claims; answers how long each claim took that counts, commit included.
async fn claim(path: &Path, durability: Durability) -> anyhow::Result<Vec<Duration>> {
    let queue = scratch::open(path, durability, Commit::Inline, Wake::Never)?;
    let mut took = Vec::with_capacity(CLAIMS);
    for n in 0..WARM_UP + CLAIMS {
        let began = Instant::now();
        let work = queue.claim(WORKER).await?;
        let elapsed = began.elapsed();
        if n >= WARM_UP {
            took.push(elapsed);
        }
        finish(&queue, work).await?;
    }
    Ok(took)
}

/// Frees the lane for the next claim.
async fn finish(queue: &Queue, work: Work) -> anyhow::Result<()> {
    let Work::Job(job) = work else {
        anyhow::bail!("there is no job left to claim")
    };
    let hold = Hold {
        job: job.id,
        attempt: job.attempt,
        worker: WORKER.into(),
    };
    let finish = Finish {
        hold,
        outcome: Outcome::Succeeded,
        output: Vec::new(),
        printed_bytes: None,
        confinement: None,
    };
    queue.finish(finish, false).await?;
    Ok(())
}
