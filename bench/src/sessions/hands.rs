//! The worker of the measurement: it holds all jobs at once, and says of each what its caller must hear.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;
use smcp_common::job::{News, Outcome};
use smcp_common::queue::{Commit, Finish, Hold, Queue, Wake, Work};
use tokio::task::JoinSet;

use crate::scratch::{self, Durability};

/// Steps of progress that each job reports.
pub(super) const STEPS: usize = 5;

const WORKER: &str = "smcp-bench";
/// Jobs that report side by side.
const HANDS: usize = 32;

/// What job `number` says at a step; what it says at the last one is its result, too.
pub(super) fn said(number: usize, step: usize) -> String {
    format!("session {number}, step {step}")
}

/// All jobs, each with the number of its session.
#[derive(Debug)]
pub(super) struct Hands {
    queue: Queue,
    jobs: Vec<(usize, Hold)>,
}

impl Hands {
    pub(super) async fn new(data: &Path) -> anyhow::Result<Self> {
        let path = data.join("smcp.db");
        let queue = scratch::open(&path, Durability::Full, Commit::Grouped, Wake::Auto)?;
        let version = env!("CARGO_PKG_VERSION");
        queue
            .register_worker(WORKER, "here", version, false, None)
            .await?;
        let jobs = Vec::new();
        Ok(Self { queue, jobs })
    }

    /// Claims jobs until it holds `count`.
    pub(super) async fn take(&mut self, count: usize) -> anyhow::Result<()> {
        let mut news = self.queue.news();
        while self.jobs.len() < count {
            news.mark_unchanged();
            match self.queue.claim(WORKER).await? {
                Work::Job(job) => {
                    let number = job.arguments["number"].as_u64();
                    let number = number.context("a call has no number")?.try_into()?;
                    let hold = Hold {
                        job: job.id,
                        attempt: job.attempt,
                        worker: WORKER.to_owned(),
                    };
                    self.jobs.push((number, hold));
                }
                Work::None { .. } => news.changed().await?,
            }
        }
        Ok(())
    }

    /// Has all jobs report a step, and then the next one.
    pub(super) async fn report(&self) -> anyhow::Result<()> {
        let mut hands = JoinSet::new();
        for part in self.jobs.chunks(self.jobs.len().div_ceil(HANDS).max(1)) {
            let (part, queue) = (part.to_vec(), self.queue.clone());
            hands.spawn(async move {
                for step in 1..=STEPS {
                    for (number, hold) in &part {
                        let message = said(*number, step);
                        let progress =
                            json!({"progress": step, "total": STEPS, "message": message});
                        queue.append(hold, vec![News::Progress(progress)]).await?;
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = hands.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Ends all jobs, one after the other; answers when each end was on disk.
    pub(super) async fn finish(self) -> anyhow::Result<HashMap<usize, Instant>> {
        let mut ends = HashMap::new();
        for (number, hold) in self.jobs {
            let finish = Finish {
                hold,
                outcome: Outcome::Succeeded,
                output: said(number, STEPS).into_bytes(),
                printed_bytes: None,
                confinement: None,
            };
            self.queue.finish(finish, false).await?;
            ends.insert(number, Instant::now());
        }
        Ok(ends)
    }
}
