//! One waiting interpreter, below a supervisor of its own.

use std::any::Any;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use smcp_common::sandbox::Start;
use smcp_common::secret::Redactor;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::control::{Link, Said, request};
use super::signature::Signature;
use super::{Place, Sameness, remove};
use crate::plugin::process::{
    self, Ended, Exit, Invocation, Limits, Output, ProcessError, StopReason, pipes, run_with,
};
use crate::plugin::supervision::Verdict;
use crate::sandbox::control::Pipes;

/// What a waiting interpreter begins with. It is an argument of `python -c`, as a file would have to be readable in
/// every sandbox, and would be in front of `sys.path`.
const START: &str = include_str!("start.py");
/// Its program, which [`START`] reads.
const HOST: &str = include_str!("host.py");

/// How long imports may take. A plugin whose own take longer is started anew for each call.
const IMPORT_LIMIT: Duration = Duration::from_secs(10);
/// How long an interpreter may take to remove what a call has left.
const CLEANING_LIMIT: Duration = Duration::from_secs(10);

/// A waiting interpreter. Dropping it kills its process tree.
#[derive(Debug)]
pub(super) struct Interpreter {
    pub(super) same: Sameness,
    /// Whether the last call has left processes behind.
    pub(super) left_processes: bool,
    /// Calls in a row, over interpreters of this plugin, that did.
    pub(super) spoiled: u32,
    /// When it was used last.
    pub(super) since: Instant,
    link: Link,
    /// How its own run ends; `None` once that is known.
    host: Option<AbortOnDropHandle<Result<Ended, ProcessError>>>,
    kill: CancellationToken,
    is_idle: watch::Sender<bool>,
    scratch: Option<PathBuf>,
    pub(super) keep: Option<Arc<dyn Any + Send + Sync>>,
    program: Option<Signature>,
    loaded: Option<Signature>,
    /// What it has imported for the plugin.
    pub(super) imported: Vec<String>,
    calls: u32,
    /// Whether it has said that nothing of the last call is left.
    is_clean: bool,
}

/// What became of a start.
#[derive(Debug)]
pub(super) enum Readiness {
    Ready,
    /// It will be so the next time.
    Refused(String),
    /// It may be different the next time.
    Failed(String),
}

/// A call without an end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The plugin's file has not been run.
    BeforeStart(io::Error),
    /// What is known of the run is an error.
    Run(ProcessError),
}

impl From<ProcessError> for Broken {
    fn from(error: ProcessError) -> Self {
        Self::Run(error)
    }
}

impl Interpreter {
    /// Starts an interpreter for calls like `invocation`.
    ///
    /// # Errors
    /// When descriptors are short.
    pub(super) fn start(
        place: &Place,
        invocation: &Invocation,
        same: Sameness,
        idle: Duration,
    ) -> io::Result<Self> {
        let program = Signature::of([invocation.program.clone()]);
        let (link, theirs) = Link::new()?;
        link.begin(HOST)?;
        let mut args = vec![OsString::from("-c"), START.into()];
        args.extend(invocation.args.first().cloned());
        args.extend(place.emptied.iter().map(Into::into));
        let mut host = invocation.clone();
        host.args = args;
        host.env.clone_from(&place.env);
        // What belongs to one call never comes here.
        host.files = Vec::new();
        host.redactor = Redactor::default();
        if let Some(policy) = &mut host.policy {
            // It counts as one itself.
            policy.limits.processes = policy.limits.processes.map(|limit| limit + 1);
        }
        if place.unconfined {
            host.env.push(("SMCP_WARM_UNCONFINED".into(), "1".into()));
        }
        let kill = CancellationToken::new();
        let (is_idle, idleness) = watch::channel(false);
        let stop = over(kill.clone(), idleness, idle);
        let plugin = place.plugin.clone();
        let host = tokio::spawn(async move { live(plugin, &host, theirs, stop).await });
        Ok(Self {
            same,
            left_processes: false,
            spoiled: 0,
            since: Instant::now(),
            link,
            host: Some(AbortOnDropHandle::new(host)),
            kill,
            is_idle,
            scratch: place.scratch.clone(),
            keep: place.keep.clone(),
            program: Some(program),
            loaded: None,
            imported: Vec::new(),
            calls: 0,
            is_clean: true,
        })
    }

    /// Waits until it can be called.
    pub(super) async fn ready(&mut self) -> Readiness {
        match timeout(IMPORT_LIMIT, self.link.receive()).await {
            Ok(Ok(Said::Ready {
                version,
                imported,
                paths,
            })) => {
                tracing::debug!(python = version, "an interpreter waits");
                self.imported = imported;
                self.loaded = Some(Signature::of(paths));
                Readiness::Ready
            }
            Ok(Ok(Said::Refused { reasons })) => Readiness::Refused(reasons.join("; ")),
            Ok(Ok(said)) => Readiness::Failed(format!("its interpreter said {said:?}")),
            Ok(Err(error)) => Readiness::Failed(match self.killed().await {
                Some(Ok(Ended {
                    exit: Exit::Refused { reason, .. },
                    ..
                })) => reason,
                Some(Ok(ended)) => format!("its interpreter ended with {:?}", ended.exit),
                Some(Err(error)) => error.to_string(),
                None => error.to_string(),
            }),
            Err(_) => Readiness::Refused(format!(
                "its imports take longer than {} s",
                IMPORT_LIMIT.as_secs()
            )),
        }
    }

    /// Whether it may run another call of a plugin that is made from `same`.
    pub(super) fn serves(&self, same: &Sameness, calls: u32) -> bool {
        let unchanged =
            |signature: &Option<Signature>| signature.as_ref().is_some_and(Signature::holds);
        !self.is_over()
            && self.same == *same
            && self.calls < calls
            && unchanged(&self.program)
            && unchanged(&self.loaded)
    }

    /// Whether it has ended, or is about to.
    pub(super) fn is_over(&self) -> bool {
        self.kill.is_cancelled()
            || self
                .host
                .as_ref()
                .is_none_or(AbortOnDropHandle::is_finished)
    }

    /// Has it wait for the next call, for a while.
    pub(super) fn rest(&mut self) {
        self.since = Instant::now();
        self.is_idle.send_replace(true);
    }

    /// Runs one call.
    ///
    /// # Errors
    /// [`Broken`]. The interpreter is over then.
    pub(super) async fn call(
        &mut self,
        invocation: &Invocation,
        limits: &Limits,
        deadline: Instant,
        stop: Pin<&mut impl Future<Output = StopReason>>,
        output: &mpsc::Sender<Output>,
    ) -> Result<Ended, Broken> {
        let started_at = std::time::Instant::now();
        self.is_idle.send_replace(false);
        self.calls += 1;
        self.left_processes = false;
        let ours = match self.prepare(invocation).await {
            Ok(ours) => ours,
            Err(error) => {
                self.killed().await;
                return Err(Broken::BeforeStart(error));
            }
        };
        let follow = self.follow(limits, deadline, stop);
        process::read(
            ours,
            limits,
            &invocation.redactor,
            output,
            started_at,
            follow,
        )
        .await
    }

    /// Ends it, with all that is left of its calls.
    pub(super) async fn end(mut self: Box<Self>) {
        self.killed().await;
        remove(self.scratch.as_ref());
    }

    /// Has the call begin; answers this side's ends of its pipes.
    async fn prepare(&mut self, invocation: &Invocation) -> io::Result<Pipes<OwnedFd>> {
        if !self.is_clean {
            let said = timeout(CLEANING_LIMIT, self.link.receive()).await??;
            if said != Said::Clean {
                let what = format!("after its last call it said {said:?}");
                return Err(io::Error::other(what));
            }
            self.is_clean = true;
        }
        let request = request(invocation)?;
        let (ours, theirs) = pipes()?;
        self.link.call(&theirs, &request)?;
        self.is_clean = false;
        Ok(ours)
    }

    async fn follow(
        &mut self,
        limits: &Limits,
        deadline: Instant,
        mut stop: Pin<&mut impl Future<Output = StopReason>>,
    ) -> Result<Verdict, Broken> {
        let verdict = |exit| {
            Ok(Verdict {
                exit,
                started: true,
                start: Start::Warm,
            })
        };
        let mut deadline = pin!(sleep_until(deadline));
        let mut started = false;
        let mut stopped_as = None;
        loop {
            let ending = tokio::select! {
                said = self.link.receive() => match said {
                    Ok(Said::Started { pid }) => {
                        tracing::debug!(pid, "a waiting interpreter runs its plugin");
                        started = true;
                        continue;
                    }
                    Ok(Said::Ended { exit, stopped, left }) if started => {
                        self.left_processes = left;
                        // What has been stopped may have left anything behind.
                        if left || stopped {
                            self.killed().await;
                        }
                        return verdict(match stopped_as {
                            Some(ending) if stopped => ending,
                            _ => exit,
                        });
                    }
                    Ok(said) => {
                        self.killed().await;
                        return Err(Broken::BeforeStart(io::Error::other(format!("it said {said:?}"))));
                    }
                    Err(error) => {
                        let lost = self.killed().await;
                        return match lost {
                            _ if !started => Err(Broken::BeforeStart(error)),
                            Some(Err(error)) => Err(error.into()),
                            Some(Ok(_)) | None => verdict(Exit::Signal(9)),
                        };
                    }
                },
                reason = &mut stop, if stopped_as.is_none() => Exit::Stopped(reason),
                () = &mut deadline => match stopped_as {
                    Some(ending) => {
                        self.killed().await;
                        return verdict(ending);
                    }
                    None => Exit::TimedOut,
                },
            };
            let grace = limits.grace_before(&ending);
            stopped_as = Some(ending);
            deadline.as_mut().reset(Instant::now() + grace);
            // It may have ended meanwhile: the next message tells.
            self.link.stop().ok();
        }
    }

    /// Kills its process tree, and answers when nothing is left of it, and how it ended; `None` where that was asked
    /// before.
    async fn killed(&mut self) -> Option<Result<Ended, ProcessError>> {
        self.kill.cancel();
        match self.host.take()?.await {
            Ok(ended) => Some(ended),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an interpreter is lost"
                );
                None
            }
        }
    }
}

/// The life of an interpreter's own process, whose words are for the log.
async fn live(
    plugin: String,
    host: &Invocation,
    control: OwnedFd,
    stop: impl Future<Output = StopReason>,
) -> Result<Ended, ProcessError> {
    let limits = Limits {
        grace: Duration::ZERO,
        stdout_max_bytes: 0,
        stderr_tail_bytes: 4096,
        max_log_lines: 0,
        max_events: 0,
        ..Limits::default()
    };
    // What it says beyond its limits, all of it, is read and thrown away.
    let (output, _unheard) = mpsc::channel(1);
    let ended = run_with(host, Some(control), &limits, stop, output).await;
    match &ended {
        Ok(ended) => tracing::debug!(
            plugin.name = plugin,
            exit = ?ended.exit,
            stderr = %String::from_utf8_lossy(&ended.stderr_tail),
            "a waiting interpreter has ended"
        ),
        Err(error) => tracing::debug!(
            plugin.name = plugin,
            error = error as &dyn std::error::Error,
            "a waiting interpreter has ended"
        ),
    }
    ended
}

/// Ends when an interpreter shall: when it is killed, or has waited for so long.
async fn over(
    kill: CancellationToken,
    mut idleness: watch::Receiver<bool>,
    idle: Duration,
) -> StopReason {
    let waited = async {
        loop {
            let is_idle = *idleness.borrow_and_update();
            tokio::select! {
                changed = idleness.changed() => if changed.is_err() {
                    return std::future::pending().await;
                },
                () = sleep(idle), if is_idle => return,
            }
        }
    };
    tokio::select! {
        () = kill.cancelled() => {}
        // Nobody shall call it any more.
        () = waited => kill.cancel(),
    }
    StopReason::ShuttingDown
}
