//! ⑧ Following a job to its end on behalf of a caller, as long as the caller can be expected to wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::CallToolResult;
use smcp_common::clock::Timestamp;
use smcp_common::job::{EventKind, JobEvent, JobId, Waiting};
use tokio::time::{Instant, sleep_until};

use super::meter::{Meter, Step};
use crate::answer::answer;
use crate::app::App;
use crate::refusal::Refusal;
use crate::waiting::clause;
use crate::watch::Subscription;

/// Events that are read at once.
const PAGE: u32 = 200;
/// A caller whose job is still queued then is told why, unless it only waits for its turn.
const REASON_AFTER: Duration = Duration::from_secs(2);

/// What a caller is to be told next.
#[derive(Debug)]
pub(super) enum Told {
    /// Something has happened, by the job's event of that number.
    Progress(i64, Step),
    /// Nothing has happened, and it goes on.
    Alive(Step),
    /// The job has ended: the answer.
    Ended(Box<CallToolResult>),
    /// The caller has waited for as long as was agreed.
    Waited,
    /// This process is about to stop.
    Stopping,
}

/// Follows one job for one caller. It holds a page of events at the most, and reads on only when it is asked: a slow
/// caller costs nothing.
#[derive(Debug)]
pub(super) struct Follower {
    app: Arc<App>,
    job: JobId,
    news: Subscription,
    meter: Meter,
    unread: VecDeque<JobEvent>,
    /// The last event that was read.
    seen: i64,
    /// What happened up to this event is known to the caller.
    known: i64,
    /// Only a caller that has asked for progress is told of it.
    wants_progress: bool,
    until: Instant,
    sign_at: Instant,
    /// No attempt runs, as far as the events say that have been read.
    is_queued: bool,
    /// When to look why, before the next sign of life.
    reason_at: Option<Instant>,
}

impl Follower {
    /// Follows `job` after its event number `known` for a caller who has been waiting `since` then, for `limit`.
    pub(super) fn new(
        app: Arc<App>,
        job: JobId,
        news: Subscription,
        known: i64,
        wants_progress: bool,
        (since, limit): (Timestamp, Duration),
    ) -> Self {
        let now = Instant::now();
        let waited = app.queue.clock().now().since(since);
        Self {
            job,
            news,
            meter: Meter::default(),
            unread: VecDeque::new(),
            seen: 0,
            known,
            wants_progress,
            until: now + limit.saturating_sub(waited),
            sign_at: now + app.calls.heartbeat,
            is_queued: true,
            reason_at: Some(now + REASON_AFTER),
            app,
        }
    }

    /// Waits for what the caller is to be told next.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub(super) async fn next(&mut self) -> Result<Told, Refusal> {
        loop {
            while let Some(event) = self.unread.pop_front() {
                if event.kind == EventKind::Finished {
                    if let Some(told) = self.end().await? {
                        return Ok(told);
                    }
                    // It has been asked to run again since.
                    continue;
                }
                self.note(&event);
                if let Some(step) = self.meter.step(&event)
                    && self.wants_progress
                    && event.seq > self.known
                {
                    self.sign_at = Instant::now() + self.app.calls.heartbeat;
                    return Ok(Told::Progress(event.seq, step));
                }
            }
            // Before the next look: news without end must not make a caller wait without end.
            if let Some(told) = self.over()? {
                return Ok(told);
            }
            if self.read()? {
                continue;
            }
            let sign = async {
                if self.wants_progress {
                    let reason_at = self.reason_at.unwrap_or(self.sign_at);
                    sleep_until(reason_at.min(self.sign_at)).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = self.news.news() => {}
                () = self.app.drain.cancelled() => return Ok(Told::Stopping),
                () = sleep_until(self.until) => return Ok(Told::Waited),
                () = sign => {
                    if let Some(message) = self.sign().await? {
                        return Ok(Told::Alive(self.meter.sign_of_life(message)));
                    }
                }
            }
        }
    }

    /// Notes whether an attempt runs.
    fn note(&mut self, event: &JobEvent) {
        match event.kind {
            EventKind::Started => (self.is_queued, self.reason_at) = (false, None),
            EventKind::Requeued => {
                self.is_queued = true;
                self.reason_at = Some(Instant::now() + REASON_AFTER);
            }
            EventKind::Queued
            | EventKind::ApprovalRequested
            | EventKind::ApprovalVoted
            | EventKind::Progress
            | EventKind::Log
            | EventKind::Output
            | EventKind::CancelRequested
            | EventKind::Finished => {}
        }
    }

    /// A sign of life in words, with the reason where the job waits for one. Nothing where it is not time for one yet,
    /// and all that the job waits for is its turn.
    async fn sign(&mut self) -> Result<Option<String>, Refusal> {
        let is_time = Instant::now() >= self.sign_at;
        self.reason_at = None;
        let waiting = if self.is_queued {
            self.app.queue.waiting(&self.job).await?.unwrap_or_default()
        } else {
            Vec::new()
        };
        if !is_time && waiting.iter().all(Waiting::is_turn) {
            return Ok(None);
        }
        self.sign_at = Instant::now() + self.app.calls.heartbeat;
        let now = self.app.queue.clock().now();
        Ok(Some(match clause(&waiting, now) {
            Some(why) => format!("The job {} waits: {why}.", self.job),
            None => format!("The job {} goes on.", self.job),
        }))
    }

    /// Why the caller is to wait no longer, if it is. Of a job that has ended, the rest is told: that takes no waiting.
    fn over(&self) -> Result<Option<Told>, Refusal> {
        let told = if self.app.drain.is_cancelled() {
            Told::Stopping
        } else if Instant::now() >= self.until {
            Told::Waited
        } else {
            return Ok(None);
        };
        let job = self.app.queue.job(&self.job)?;
        let has_ended = job.is_some_and(|job| job.state.is_final());
        Ok((!has_ended).then_some(told))
    }

    /// Reads the next events; false where there are none yet.
    fn read(&mut self) -> Result<bool, Refusal> {
        let events = self.app.queue.events(&self.job, self.seen, PAGE)?;
        if let Some(last) = events.last() {
            self.seen = last.seq;
        }
        // In the place of the last page, the room of which is given back with that.
        self.unread = events.into();
        Ok(!self.unread.is_empty())
    }

    /// The answer, unless the job goes on after an earlier end.
    async fn end(&self) -> Result<Option<Told>, Refusal> {
        let Some(answer) = answer(&self.app, &self.job).await? else {
            return Ok(None);
        };
        self.app.counters.answered(answer.is_error == Some(true));
        Ok(Some(Told::Ended(Box::new(answer))))
    }
}
