//! How many workers there shall be, and which ones: what operators have set, compared with what runs.

use std::cmp::Reverse;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use smcp_common::audit::DigestKey;
use smcp_common::clock::SystemClock;
use smcp_common::config::Workers;
use smcp_common::queue::{
    Commit, Durability, Options, Queue, QueueError, SUPERVISOR, Wake, WorkerInfo, WorkerState,
};
use smcp_common::secret::KeyFile;
use smcp_common::setting::Setting;
use tokio::time::sleep;

/// How often to look. Nobody waits for less, and nothing is asked of the disk.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long others take us for alive after our last sign of life.
const TERM: Duration = Duration::from_secs(30);
/// In whose name we change settings and drain workers.
const AGENT: &str = "up";

/// How many workers to keep running.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// Always so many.
    Fixed(u16),
    /// As many as operators have set in that database.
    Set {
        /// What to begin with.
        workers: Workers,
        /// The SQLite file.
        database: PathBuf,
        /// Where keys are.
        data_dir: PathBuf,
    },
}

/// Follows how many workers are wanted.
#[derive(Debug)]
pub(super) enum Scale {
    Fixed(u16),
    Set(Box<Follower>),
}

/// What there is to know at an instant.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Workers that there shall be.
    pub(super) wanted: u16,
    /// Workers on this machine that are ours, or another `smcp up`'s.
    pub(super) workers: Vec<WorkerInfo>,
}

impl Scale {
    /// Begins to follow; the database must exist.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub(super) fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        match wanted {
            Wanted::Fixed(count) => Ok(Self::Fixed(*count)),
            Wanted::Set {
                workers,
                database,
                data_dir,
            } => {
                let digest_key = DigestKey::read_or_make(data_dir).with_context(|| {
                    format!(
                        "cannot use the key audit-digest.key in {}",
                        data_dir.display()
                    )
                })?;
                let options = Options {
                    path: database.clone(),
                    durability: Durability::Full,
                    commit: Commit::Inline,
                    wake: Wake::Never,
                    check: false,
                    digest_key,
                    secrets_key: KeyFile::at(database.with_file_name("secrets.key")),
                };
                let queue = Queue::open(&options, Arc::new(SystemClock))
                    .context("cannot follow how many workers are wanted")?;
                let host = smcp_worker::host();
                Ok(Self::Set(Box::new(Follower {
                    name: format!("up:{host}:{}", std::process::id()),
                    queue,
                    host,
                    asked: workers.asked,
                    default: workers.default,
                    in_trouble: false,
                })))
            }
        }
    }

    /// Looks how many are wanted, and what our workers do; `None` where that cannot be read now.
    pub(super) async fn look(&mut self) -> Option<Sight> {
        match self {
            Self::Fixed(count) => Some(Sight {
                wanted: *count,
                ..Sight::default()
            }),
            Self::Set(follower) => follower.look().await,
        }
    }

    /// Lets a worker end after its job. Where that fails, the next look finds it still there.
    pub(super) async fn drain(&self, worker: &str) {
        if let Self::Set(follower) = self
            && let Err(error) = follower.queue.drain_workers(Some(worker), AGENT).await
        {
            let error: &dyn Error = &error;
            tracing::warn!(worker.id = worker, error, "a worker is drained later");
        }
    }

    /// Waits until it is time to look again.
    pub(super) async fn pause(&self) {
        match self {
            Self::Fixed(_) => std::future::pending().await,
            Self::Set(_) => sleep(LOOK_EVERY).await,
        }
    }

    /// Says that nobody starts and ends workers any more.
    pub(super) async fn leave(&self) {
        // We hold no job; what else a worker leaves is its duties.
        if let Self::Set(follower) = self
            && let Err(error) = follower.queue.release_all(&follower.name).await
        {
            let error: &dyn Error = &error;
            tracing::debug!(error, "others hear of our end later");
        }
    }
}

/// Follows what is set.
#[derive(Debug)]
pub(super) struct Follower {
    queue: Queue,
    name: String,
    host: String,
    /// What was asked for at the start, until it has been recorded.
    asked: Option<u16>,
    default: u16,
    /// The last look failed, which has been told.
    in_trouble: bool,
}

impl Follower {
    async fn look(&mut self) -> Option<Sight> {
        let recorded = self.record().await;
        let seen = self.see();
        match recorded.and(seen.as_ref().map(|_| ()).map_err(Clone::clone)) {
            Ok(()) => self.in_trouble = false,
            Err(error) if self.in_trouble => {
                tracing::debug!(error = &error as &dyn Error, "still no look at the queue");
            }
            Err(error) => {
                self.in_trouble = true;
                let error: &dyn Error = &error;
                tracing::warn!(
                    error,
                    "cannot follow how many workers are wanted; trying again"
                );
            }
        }
        seen.ok()
    }

    /// Says that we are there, and what was asked for at the start.
    async fn record(&mut self) -> Result<(), QueueError> {
        self.queue.take_duty(SUPERVISOR, &self.name, TERM).await?;
        if let Some(count) = self.asked {
            self.queue
                .set_setting(Setting::WorkerCount, Some(count.into()), AGENT)
                .await?;
            self.asked = None;
        }
        Ok(())
    }

    fn see(&self) -> Result<Sight, QueueError> {
        let set = self.queue.setting(Setting::WorkerCount)?;
        let set = set.and_then(|count| u16::try_from(count).ok());
        let mut workers = self.queue.workers()?;
        workers.retain(|worker| worker.managed && worker.host == self.host);
        Ok(Sight {
            wanted: self.asked.or(set).unwrap_or(self.default),
            workers,
        })
    }
}

/// A place for a worker, as far as it matters for the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The process, if there is one.
    pub(super) pid: Option<u32>,
    /// It has been told to end.
    pub(super) leaving: bool,
}

/// What to do so that as many workers run as are wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Workers to start.
    pub(super) start: usize,
    /// Places to give up, by their position; with the worker's id where it has one, and can be drained.
    pub(super) give_up: Vec<(usize, Option<String>)>,
}

/// Compares what is wanted with what there is. A worker that drains does not count: another takes its place at once. Of
/// those that are too many go first the ones that run nothing, and of these the newest.
pub(super) fn plan(sight: &Sight, places: &[Place]) -> Plan {
    let worker = |place: &Place| {
        let pid = place.pid?;
        // Of those that had that process id the last.
        sight.workers.iter().rfind(|worker| worker.pid == pid)
    };
    let mut staying: Vec<_> = places
        .iter()
        .enumerate()
        .filter(|(_, place)| !place.leaving)
        .map(|(at, place)| (at, worker(place)))
        .filter(|(_, worker)| worker.is_none_or(|worker| worker.state != WorkerState::Draining))
        .collect();
    let wanted = usize::from(sight.wanted);
    if staying.len() <= wanted {
        return Plan {
            start: wanted - staying.len(),
            give_up: Vec::new(),
        };
    }
    staying.sort_by_key(|(at, worker)| (effort(*worker), Reverse(*at)));
    let give_up = staying[..staying.len() - wanted]
        .iter()
        .map(|(at, worker)| (*at, worker.map(|worker| worker.id.clone())))
        .collect();
    Plan { start: 0, give_up }
}

/// How much is lost by the end of a worker.
fn effort(worker: Option<&WorkerInfo>) -> u8 {
    match worker.map(|worker| worker.state) {
        None => 0,
        Some(WorkerState::Idle | WorkerState::Draining) => 1,
        Some(WorkerState::Running) => 2,
        // It would not hear of it.
        Some(WorkerState::Silent) => 3,
    }
}

#[cfg(test)]
mod tests {
    use smcp_common::clock::Timestamp;

    use super::*;

    fn worker(pid: u32, state: WorkerState) -> WorkerInfo {
        WorkerInfo {
            id: format!("w-{pid}"),
            host: "here".into(),
            pid,
            version: "1".into(),
            managed: true,
            started_at: Timestamp::from_millis(0),
            last_seen: Timestamp::from_millis(0),
            state,
            job: None,
            tool: None,
            scheduler: false,
            sandbox: None,
        }
    }

    /// The plan for so many wanted, of places with a process each, by their process ids.
    fn planned(wanted: u16, states: &[(u32, Option<WorkerState>)]) -> Plan {
        let known = states
            .iter()
            .filter_map(|(pid, state)| Some(worker(*pid, (*state)?)));
        let sight = Sight {
            wanted,
            workers: known.collect(),
        };
        let places: Vec<_> = states
            .iter()
            .map(|(pid, _)| Place {
                pid: Some(*pid),
                leaving: false,
            })
            .collect();
        plan(&sight, &places)
    }

    fn started(start: usize) -> Plan {
        Plan {
            start,
            give_up: Vec::new(),
        }
    }

    #[test]
    fn missing_workers_are_started_and_draining_ones_do_not_count() {
        use WorkerState::{Draining, Idle, Running, Silent};
        assert_eq!(planned(2, &[]), started(2));
        assert_eq!(planned(2, &[(1, Some(Idle)), (2, None)]), started(0));
        assert_eq!(
            planned(2, &[(1, Some(Draining)), (2, Some(Running))]),
            started(1)
        );
        assert_eq!(planned(1, &[(1, Some(Silent))]), started(0));
        assert_eq!(planned(0, &[]), started(0));
    }

    #[test]
    fn surplus_workers_go_idle_ones_first_and_the_newest_of_them() {
        use WorkerState::{Draining, Idle, Running};
        let id = |pid: u32| Some(format!("w-{pid}"));
        let states = [
            (1, Some(Idle)),
            (2, Some(Running)),
            (3, Some(Idle)),
            (4, Some(Draining)),
            (5, Some(Running)),
            (6, None),
        ];
        let order = [(5, None), (2, id(3)), (0, id(1)), (4, id(5)), (1, id(2))];
        for wanted in 0..=5 {
            let plan = planned(wanted, &states);
            assert_eq!(plan.start, 0);
            assert_eq!(plan.give_up, order[..5 - usize::from(wanted)]);
        }
    }

    #[test]
    fn what_has_been_told_to_end_is_not_told_again() {
        let sight = Sight {
            wanted: 1,
            workers: vec![worker(1, WorkerState::Idle)],
        };
        let place = |pid, leaving| Place { pid, leaving };
        let places = [place(Some(2), true), place(Some(1), false)];
        assert_eq!(plan(&sight, &places), started(0));
        let crashed = [place(None, false), place(Some(1), false)];
        assert_eq!(plan(&sight, &crashed).give_up, [(0, None)]);
    }
}
