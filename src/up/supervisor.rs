//! Keeping the processes running, and ending them in their order: workers first, since the API has yet to tell
//! what became of their jobs.

use std::cell::Cell;
use std::net::SocketAddr;
use std::process::{ExitCode, ExitStatus};
use std::rc::Rc;
use std::time::Instant;

use anyhow::bail;
use futures::stream::{FuturesUnordered, StreamExt as _};
use smcp_common::lifecycle::Shutdown;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::child::{Child, Program, Role};
use super::scale::{Place, Scale, Wanted, plan};

/// The exit code of a role whose settings cannot be used; to start it again would change nothing.
const BAD_USAGE: i32 = 2;

/// One API and its workers.
#[derive(Debug)]
pub(crate) struct Supervisor {
    program: Program,
    wanted: Wanted,
    shutdown: Shutdown,
    workers_ended: CancellationToken,
    /// How many workers there shall be, once that is known.
    count: watch::Sender<Option<u16>>,
    /// Where the API listens, once it does.
    address: watch::Sender<Option<SocketAddr>>,
}

/// A role gave up, and has said why on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GaveUp(u8);

/// A place for one worker, and for those that follow it where it crashes.
#[derive(Debug)]
struct Slot {
    pid: Cell<Option<u32>>,
    /// Told to end.
    leave: CancellationToken,
}

impl Slot {
    const fn new(leave: CancellationToken) -> Self {
        Self {
            pid: Cell::new(None),
            leave,
        }
    }

    fn place(&self) -> Place {
        Place {
            pid: self.pid.get(),
            leaving: self.leave.is_cancelled(),
        }
    }
}

impl Supervisor {
    /// Keeps as many workers of `program` running as are wanted, once it is run.
    pub(crate) fn new(program: Program, wanted: Wanted, shutdown: Shutdown) -> Self {
        Self {
            program,
            wanted,
            shutdown,
            workers_ended: CancellationToken::new(),
            count: watch::Sender::new(None),
            address: watch::Sender::new(None),
        }
    }

    /// Waits until it is known how many workers there shall be; 0 where everything is being stopped instead.
    pub(super) async fn wanted(&self) -> u16 {
        let mut count = self.count.subscribe();
        tokio::select! {
            found = count.wait_for(Option::is_some) => found.ok().and_then(|count| *count).unwrap_or(0),
            () = self.shutdown.drain.cancelled() => 0,
        }
    }

    /// Waits until the API listens; `None` where everything is being stopped instead.
    pub(super) async fn ready(&self) -> Option<SocketAddr> {
        let mut address = self.address.subscribe();
        tokio::select! {
            found = address.wait_for(Option::is_some) => found.ok().and_then(|address| *address),
            () = self.shutdown.drain.cancelled() => None,
        }
    }

    /// Runs everything until told to stop, or until a role gives up.
    ///
    /// # Errors
    /// A process cannot be started.
    pub(super) async fn run(&self) -> anyhow::Result<ExitCode> {
        let workers = async {
            // Where the API cannot start, no worker shall have begun a job.
            let ended = match self.ready().await {
                Some(_) => self.keep_workers().await,
                None => Ok(Ok(())),
            };
            self.shutdown.begin();
            self.workers_ended.cancel();
            ended
        };
        let api = async {
            let ended = self
                .keep(Role::Api, &self.workers_ended, &Cell::default())
                .await;
            self.shutdown.begin();
            ended
        };
        let (workers, api) = tokio::join!(workers, api);
        Ok(match api?.and(workers?) {
            Ok(()) => ExitCode::SUCCESS,
            Err(GaveUp(code)) => ExitCode::from(code),
        })
    }

    /// Runs the workers alone until told to stop.
    ///
    /// # Errors
    /// A process cannot be started, or a worker gave up, which has said why on standard error.
    pub(crate) async fn run_workers(&self) -> anyhow::Result<()> {
        match self.keep_workers().await? {
            Ok(()) => Ok(()),
            Err(GaveUp(code)) => bail!("a worker gave up with exit code {code}"),
        }
    }

    async fn keep_workers(&self) -> anyhow::Result<Result<(), GaveUp>> {
        let mut scale = Scale::open(&self.wanted)?;
        let mut slots: Vec<Rc<Slot>> = Vec::new();
        let mut workers = FuturesUnordered::new();
        let mut all = Ok(Ok(()));
        let mut settle = |ended: anyhow::Result<Result<(), GaveUp>>| {
            if !matches!(ended, Ok(Ok(()))) {
                // One that gave up does so for all of them.
                self.shutdown.begin();
                if matches!(all, Ok(Ok(()))) {
                    all = ended;
                }
            }
        };
        while !self.shutdown.drain.is_cancelled() {
            if let Some(sight) = scale.look().await {
                self.count.send_replace(Some(sight.wanted));
                let places: Vec<_> = slots.iter().map(|slot| slot.place()).collect();
                let plan = plan(&sight, &places);
                for (at, worker) in plan.give_up {
                    match worker {
                        Some(id) => scale.drain(&id).await,
                        None => slots[at].leave.cancel(),
                    }
                }
                for _ in 0..plan.start {
                    let slot = Rc::new(Slot::new(self.shutdown.drain.child_token()));
                    slots.push(Rc::clone(&slot));
                    workers.push(async move {
                        let ended = self.keep(Role::Worker, &slot.leave, &slot.pid).await;
                        (slot, ended)
                    });
                }
            }
            tokio::select! {
                Some((slot, ended)) = workers.next() => {
                    slots.retain(|other| !Rc::ptr_eq(other, &slot));
                    settle(ended);
                }
                () = scale.pause() => {}
                () = self.shutdown.drain.cancelled() => {}
            }
        }
        while let Some((_, ended)) = workers.next().await {
            settle(ended);
        }
        scale.leave().await;
        all
    }

    /// Keeps one process running until `drain`, or until it ends as a worker does that has been drained. `shown` has its
    /// process id.
    async fn keep(
        &self,
        role: Role,
        drain: &CancellationToken,
        shown: &Cell<Option<u32>>,
    ) -> anyhow::Result<Result<(), GaveUp>> {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            let port = self.address.borrow().map(|address| address.port());
            let mut child = self.program.start(role, port)?;
            let (role_name, pid) = (role.as_str(), child.pid());
            shown.set(Some(pid));
            tracing::debug!(role = role_name, pid, "process started");
            let status = tokio::select! {
                status = self.watch(&mut child, role) => status?,
                () = drain.cancelled() => {
                    child.end(&self.shutdown.stop).await;
                    return Ok(Ok(()));
                }
            };
            if drain.is_cancelled() {
                return Ok(Ok(()));
            }
            shown.set(None);
            if role == Role::Worker && status.success() {
                tracing::info!(pid, "a worker has ended as it was asked to");
                return Ok(Ok(()));
            }
            if let Some(gave_up) = self.gave_up(role, status) {
                return Ok(Err(gave_up));
            }
            let wait = backoff.after(begun.elapsed());
            tracing::warn!(role = role_name, pid, %status, "process ended unasked; it is started again in {wait:?}");
            tokio::select! {
                () = sleep(wait) => {}
                () = drain.cancelled() => return Ok(Ok(())),
            }
        }
    }

    async fn watch(&self, child: &mut Child, role: Role) -> std::io::Result<ExitStatus> {
        if role == Role::Api
            && let Some(address) = child.announced().await
        {
            self.address.send_replace(Some(address));
        }
        child.ended().await
    }

    /// Whether a role that ended with `status` would end so again: its settings are bad, or it is an API that has
    /// never listened, as where its port is taken. What a signal ended did not give up.
    fn gave_up(&self, role: Role, status: ExitStatus) -> Option<GaveUp> {
        let code = status.code()?;
        let never_listened = role == Role::Api && self.address.borrow().is_none();
        (code == BAD_USAGE || never_listened).then(|| GaveUp(u8::try_from(code).unwrap_or(1)))
    }
}
