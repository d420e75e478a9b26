//! Leases are renewed by a thread of its own, so that nothing that keeps the worker busy can cost it its job. The
//! same thread gives the worker's sign of life and settles the jobs of workers that have died.

use std::future::Future;
use std::time::Duration;

use smcp_common::clock::SharedClock;
use smcp_common::queue::{Hold, LeaseWatch, Options, Queue, QueueError, RENEW_EVERY};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::plugin::process::StopReason;
use crate::presence::{Presence, settle_the_dead};
use crate::{WorkerError, thread};

/// Rows of workers are kept for so long after their end.
const REMEMBER: Duration = Duration::from_hours(24);
/// After a failed renewal the next try comes sooner.
const RETRY: Duration = Duration::from_secs(1);

/// The handle of the thread.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    orders: mpsc::UnboundedSender<Order>,
}

/// Keeps a lease renewed as long as it lives.
#[derive(Debug)]
pub(crate) struct Held {
    orders: mpsc::UnboundedSender<Order>,
    hold: Hold,
}

#[derive(Debug)]
enum Order {
    Keep(Hold, mpsc::Sender<StopReason>),
    LetGo(Hold),
}

impl LeaseKeeper {
    /// Starts the thread, with a connection of its own.
    ///
    /// # Errors
    /// The database cannot be opened a second time, or the system gives no thread.
    pub(crate) fn start(
        options: &Options,
        clock: SharedClock,
        presence: &Presence,
    ) -> Result<Self, WorkerError> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (worker, directory) = (presence.id().to_owned(), presence.siblings().to_owned());
        thread::start("lease-keeper", options, clock, move |queue| {
            let keeper = Keeper {
                queue,
                worker,
                directory,
                kept: None,
                leases: LeaseWatch::default(),
            };
            keeper.run(inbox)
        })?;
        Ok(Self { orders })
    }

    /// Renews the lease of `hold` until the answer is dropped; `stopper` hears why the attempt should stop.
    pub(crate) fn hold(&self, hold: Hold, stopper: mpsc::Sender<StopReason>) -> Held {
        // A keeper that has gone is noticed by the lease running out, which is its purpose.
        drop(self.orders.send(Order::Keep(hold.clone(), stopper)));
        Held {
            orders: self.orders.clone(),
            hold,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.orders.send(Order::LetGo(self.hold.clone())));
    }
}

struct Keeper {
    queue: Queue,
    worker: String,
    directory: std::path::PathBuf,
    kept: Option<(Hold, mpsc::Sender<StopReason>)>,
    /// What it has seen of everybody's leases.
    leases: LeaseWatch,
}

impl Keeper {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) {
        let mut tick = tokio::time::interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Keep(hold, stopper)) => self.kept = Some((hold, stopper)),
                    Some(Order::LetGo(hold)) => drop(self.kept.take_if(|(kept, _)| *kept == hold)),
                    None => return,
                },
                // When it was to come: how late it comes says nothing of the others.
                at = tick.tick() => {
                    if !self.renew().await {
                        tick.reset_after(RETRY);
                    }
                    self.look_around(at).await;
                }
            }
        }
    }

    /// Renews the kept lease; false where that should be tried again soon.
    async fn renew(&mut self) -> bool {
        let Some((hold, stopper)) = &self.kept else {
            return true;
        };
        let reason = match self.queue.renew(hold).await {
            Ok(lease) => lease.cancelling.then_some(StopReason::Cancelled),
            Err(QueueError::LeaseLost { .. }) => Some(StopReason::LeaseLost),
            Err(error) => {
                tracing::warn!(job.id = %hold.job, error = &error as &dyn std::error::Error, "a lease could not be renewed");
                return false;
            }
        };
        if let Some(reason) = reason
            && stopper.try_send(reason).is_err()
        {
            tracing::debug!("the process has been asked to stop already");
        }
        true
    }

    async fn look_around(&mut self, at: Instant) {
        if !log("give a sign of life", self.queue.see_worker(&self.worker)).await {
            // Where we cannot write, the others cannot renew either.
            self.leases = LeaseWatch::default();
        }
        let expired = self.queue.lose_expired(&mut self.leases, at.into_std());
        log("settle expired leases", expired).await;
        log("forget old workers", self.queue.forget_workers(REMEMBER)).await;
        log(
            "settle dead workers",
            settle_the_dead(&self.queue, &self.directory),
        )
        .await;
    }
}

/// Says whether it could be done; it is tried again at the next tick in any case.
async fn log<T>(what: &str, command: impl Future<Output = Result<T, QueueError>>) -> bool {
    let done = command.await;
    if let Err(error) = &done {
        tracing::warn!(error = error as &dyn std::error::Error, "cannot {what}");
    }
    done.is_ok()
}
