//! ⑧ News of jobs, for whoever waits for them. One task follows the queue's events and wakes those whose jobs have
//! some; they read their events themselves, so that a slow reader costs nothing and misses nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use smcp_common::job::JobId;
use smcp_common::queue::{Queue, QueueError};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// After an error the next look comes so much later.
const PAUSE: Duration = Duration::from_millis(200);

/// Wakes the subscribers of jobs.
#[derive(Debug)]
pub struct Watch {
    subscribers: Subscribers,
    _tail: AbortOnDropHandle<()>,
}

/// Hears when a job has news. A notice that comes while nobody listens is kept.
#[derive(Debug)]
pub struct Subscription {
    job: JobId,
    notify: Arc<Notify>,
    subscribers: Subscribers,
}

type Subscribers = Arc<Mutex<HashMap<JobId, Vec<Weak<Notify>>>>>;

impl Watch {
    /// Follows the events of `queue` from now on.
    ///
    /// # Errors
    /// Database errors.
    pub fn start(queue: Queue) -> Result<Self, QueueError> {
        let subscribers = Subscribers::default();
        let last = queue.last_event()?;
        let tail = tokio::spawn(tail(queue, last, Arc::clone(&subscribers)));
        Ok(Self { subscribers, _tail: AbortOnDropHandle::new(tail) })
    }

    /// Listens for news of `job`, which need not exist yet.
    pub fn subscribe(&self, job: &JobId) -> Subscription {
        let notify = Arc::new(Notify::new());
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.entry(job.clone()).or_default().push(Arc::downgrade(&notify));
        Subscription { job: job.clone(), notify, subscribers: Arc::clone(&self.subscribers) }
    }
}

impl Subscription {
    /// Returns when there may be news since the last call.
    pub async fn news(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listening) = subscribers.get_mut(&self.job) {
            listening.retain(|other| other.as_ptr() != Arc::as_ptr(&self.notify));
            if listening.is_empty() {
                subscribers.remove(&self.job);
            }
        }
    }
}

async fn tail(queue: Queue, mut last: i64, subscribers: Subscribers) {
    let mut news = queue.news();
    loop {
        // Before the look, so that what comes during it is not missed.
        news.mark_unchanged();
        match queue.tail(last) {
            Ok(events) if events.is_empty() => {
                if news.changed().await.is_err() {
                    return;
                }
            }
            Ok(events) => {
                last = events.last().map_or(last, |(seq, _)| *seq);
                wake(&subscribers, events.into_iter().map(|(_, job)| job));
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the news of jobs cannot be read");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn wake(subscribers: &Subscribers, jobs: impl Iterator<Item = JobId>) {
    let subscribers = subscribers.lock().unwrap_or_else(PoisonError::into_inner);
    for job in jobs {
        for notify in subscribers.get(&job).into_iter().flatten().filter_map(Weak::upgrade) {
            notify.notify_one();
        }
    }
}
