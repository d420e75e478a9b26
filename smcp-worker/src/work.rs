//! ④ The claim loop: apalis runs one job per free slot, taken from our queue and finished in it.
//!
//! Besides `attempt`'s handler this is the only file that names apalis. Its [`Backend`] never fails and never
//! ends: an error would end the worker, an end would park it silently. What can fail is retried in here.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis::layers::catch_panic::CatchPanicLayer;
use apalis::layers::limit::ConcurrencyLimitLayer;
use apalis::prelude::{Data, Monitor, WorkerBuilder};
use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::context::WorkerContext;
use backon::{ExponentialBuilder, Retryable};
use smcp_common::job::{Claimed, Failure, Outcome, code};
use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::{Finish, Hold, Queue, QueueError, Work};
use smcp_common::sandbox::Confinement;
use tower_layer::{Layer, Stack};
use tower_service::Service;

/// One job at a time: plugin actions are serial unless an operator starts more workers.
const SLOTS: usize = 1;
/// After being told to stop at once, the process tree gets its grace period and the finish its commit.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// The longest sleep until a job falls due.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What runs one attempt of one job.
pub trait Run: Send + Sync + 'static {
    /// Runs it to its end. What the tool does is an outcome; there is no error.
    fn run(&self, job: Claimed) -> impl Future<Output = Ending> + Send;
}

/// How an attempt ended, for the commit that records it.
#[derive(Debug)]
pub struct Ending {
    /// What it came to.
    pub outcome: Outcome,
    /// Standard output that has not been stored yet.
    pub output: Vec<u8>,
    /// All that the tool printed, in bytes, where that is more than is kept.
    pub printed_bytes: Option<u64>,
    /// What held it; `None` where no process has run.
    pub confinement: Option<Confinement>,
}

/// Runs jobs until `shutdown` asks for an end, and returns when none is held any more.
pub async fn run<R: Run>(queue: Queue, worker: String, runner: Arc<R>, shutdown: Shutdown) {
    let next = Next::default();
    let monitor = Monitor::new().register({
        let (queue, worker, next) = (queue.clone(), worker.clone(), Arc::clone(&next));
        move |_| {
            WorkerBuilder::new(worker.as_str())
                .backend(Jobs {
                    queue: queue.clone(),
                    next: Arc::clone(&next),
                    claim: None,
                    close: None,
                })
                .data(Arc::clone(&runner))
                .layer(CatchPanicLayer::with_panic_handler(|_| Panicked))
                .build(attempt::<R>)
        }
    });
    let context = monitor.context();
    let running = tokio::spawn(monitor.run());
    shutdown.drain.cancelled().await;
    if let Err(error) = context.shutdown() {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the claim loop has ended already"
        );
    }
    let abort = running.abort_handle();
    let deadline = async {
        shutdown.stop.cancelled().await;
        tokio::time::sleep(STOP_DEADLINE).await;
    };
    tokio::select! {
        _ = running => {}
        () = deadline => {
            tracing::warn!("the running job did not stop in time; it is given up");
            abort.abort();
        }
    }
    give_back_unbegun(&queue, &worker, &next).await;
}

async fn attempt<R: Run>(job: Claimed, runner: Data<Arc<R>>) -> Result<Ending, BoxDynError> {
    Ok(runner.run(job).await)
}

/// A job that was claimed together with the last finish, and that nobody has taken up.
async fn give_back_unbegun(queue: &Queue, worker: &str, next: &Next) {
    let Some(job) = take(next) else { return };
    let finish = Finish {
        hold: hold(&job, worker),
        outcome: Outcome::Released,
        output: Vec::new(),
        printed_bytes: None,
        confinement: None,
    };
    if let Err(error) = queue.finish(finish, false).await {
        tracing::error!(job.id = %job.id, error = &error as &dyn std::error::Error, "a job cannot be given back");
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// From the commit that finished one job and claimed the next, to the poll that hands it out.
type Next = Arc<Mutex<Option<Claimed>>>;

#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the attempt panicked")]
struct Panicked;

/// Our queue, as apalis sees it.
struct Jobs {
    queue: Queue,
    next: Next,
    claim: Option<BoxFuture<Claimed>>,
    close: Option<BoxFuture<()>>,
}

impl Backend for Jobs {
    type Task = Task<Claimed>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Claimed>, Infallible>>> {
        let job = if let Some(job) = take(&self.next) {
            job
        } else {
            let claim = self.claim.get_or_insert_with(|| {
                Box::pin(claim(self.queue.clone(), worker.name().to_owned()))
            });
            let job = ready!(claim.as_mut().poll(cx));
            self.claim = None;
            job
        };
        let id = TaskId::from_string(job.id.to_string());
        Poll::Ready(Some(Ok(TaskBuilder::new(job).task_id(id).build())))
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        // A claim in flight is only waiting: one that has committed has also returned.
        self.claim = None;
        let close = self.close.get_or_insert_with(|| {
            let (queue, worker, next) = (
                self.queue.clone(),
                worker.name().to_owned(),
                Arc::clone(&self.next),
            );
            Box::pin(async move { give_back_unbegun(&queue, &worker, &next).await })
        });
        close.as_mut().poll(cx).map(Ok)
    }
}

impl BackendConfig for Jobs {
    type Args = Claimed;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Stack<FinishLayer, ConcurrencyLimitLayer>;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, worker: &mut WorkerContext) -> Self::Layer {
        let finish = FinishLayer {
            queue: self.queue.clone(),
            next: Arc::clone(&self.next),
            worker: worker.clone(),
        };
        // (inner, outer): the slot is free only after the finish has been committed.
        Stack::new(finish, ConcurrencyLimitLayer::new(SLOTS))
    }
}

/// Waits for a job and takes it.
async fn claim(queue: Queue, worker: String) -> Claimed {
    let mut news = queue.news();
    loop {
        // Before the look, so that what comes during it is not missed.
        news.mark_unchanged();
        match persist("claim", || queue.claim(&worker)).await {
            Ok(Work::Job(job)) => return *job,
            Ok(Work::None { next_due }) => {
                let now = queue.clock().now();
                let due = async {
                    match next_due {
                        // In steps: the clock that the job goes by may be set meanwhile.
                        Some(at) => tokio::time::sleep(at.since(now).min(LOOK_EVERY)).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = news.changed() => {}
                    () = due => {}
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no job can be claimed"
                );
                // Not transient: a row that cannot be read, say. News may bring its repair.
                drop(tokio::time::timeout(Duration::from_secs(5), news.changed()).await);
            }
        }
    }
}

/// Carries out a database command however long it takes, as long as there is hope.
pub(crate) async fn persist<T, F: Future<Output = Result<T, QueueError>>>(
    what: &'static str,
    command: impl FnMut() -> F,
) -> Result<T, QueueError> {
    let patience = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(10))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .without_max_times();
    command
        .retry(patience)
        .when(QueueError::is_transient)
        .notify(|error, delay| {
            let retry_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                error = error as &dyn std::error::Error,
                retry_ms,
                "the {what} is tried again"
            );
        })
        .await
}

/// ⑦ Commits the end of each attempt before its slot is free, and claims the next job in the same commit.
#[derive(Clone)]
pub(crate) struct FinishLayer {
    queue: Queue,
    next: Next,
    worker: WorkerContext,
}

impl<S> Layer<S> for FinishLayer {
    type Service = FinishService<S>;

    fn layer(&self, inner: S) -> FinishService<S> {
        FinishService {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct FinishService<S> {
    inner: S,
    layer: FinishLayer,
}

impl<S> Service<Task<Claimed>> for FinishService<S>
where
    S: Service<Task<Claimed>, Response = Ending, Error = BoxDynError, Future: Send + 'static>,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Claimed>) -> Self::Future {
        let FinishLayer {
            queue,
            next,
            worker,
        } = self.layer.clone();
        let hold = hold(&task.args, worker.name());
        let run = self.inner.call(task);
        Box::pin(async move {
            let ending = run.await.unwrap_or_else(|error| broken(&hold, &error));
            let Ending {
                outcome,
                output,
                printed_bytes,
                confinement,
            } = ending;
            let finish = Finish {
                hold: hold.clone(),
                outcome,
                output,
                printed_bytes,
                confinement,
            };
            let finished = persist("finish", || {
                queue.finish(finish.clone(), !worker.is_shutting_down())
            })
            .await;
            match finished {
                Ok(claimed) => *next.lock().unwrap_or_else(PoisonError::into_inner) = claimed,
                Err(error) => tracing::warn!(
                    job.id = %hold.job,
                    attempt = hold.attempt,
                    error = &error as &dyn std::error::Error,
                    "the result of an attempt was refused"
                ),
            }
            Ok(())
        })
    }
}

fn broken(hold: &Hold, error: &BoxDynError) -> Ending {
    tracing::error!(job.id = %hold.job, error = &**error as &dyn std::error::Error, "an attempt broke off");
    let message = "The worker failed while it ran this job; its log has the details.";
    Ending {
        outcome: Outcome::failed(Failure::new(code::INTERNAL, message)),
        output: Vec::new(),
        printed_bytes: None,
        confinement: None,
    }
}

fn hold(job: &Claimed, worker: &str) -> Hold {
    Hold {
        job: job.id.clone(),
        attempt: job.attempt,
        worker: worker.to_owned(),
    }
}

fn take(next: &Next) -> Option<Claimed> {
    next.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests;
