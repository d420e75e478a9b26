//! One run of a plugin: its process tree, its output, and how it ended.
//!
//! Beside the supervisor this is the only place where processes start. It knows nothing
//! of jobs, tools or policies.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use smcp_common::sandbox::Start;
use smcp_common::secret::{Plain, Redactor};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::output::{Ahead, Pipe, read_events, read_stderr, read_stdout};
use super::supervision::{Supervision, Verdict};
use crate::proxy::door;
use crate::sandbox::control::{Pipes, RunOrder, send_pipes};

pub use super::handover::{Handed, Unfit};
pub use crate::proxy::door::Door;
pub use crate::sandbox::control::{Mechanism, RefusalKind};
pub use crate::sandbox::policy::Policy;
pub use crate::sandbox::probes::Bait;

/// The subcommand under which the worker's binary is a supervisor.
pub const SUPERVISOR_COMMAND: &str = "sandbox-exec";

/// Far enough to mean never, near enough for every clock.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// Runs one plugin to its end, and answers when nothing of its process tree is left.
///
/// What the plugin writes goes to `output` as it comes; the plugin waits while that
/// channel is full, so somebody must receive from it at the same time. `stop` ends the run
/// early: SIGTERM to the plugin's process group and, after `limits.grace` or `limits.cancel_grace`, SIGKILL to
/// the whole tree. Dropping the future kills the tree at once.
///
/// # Errors
/// [`ProcessError`] when the supervisor could not be started or got lost. What the plugin
/// does, failing to start included, is no error but an [`Exit`].
#[tracing::instrument(name = "plugin.run", skip_all, fields(plugin.pid))]
pub async fn run(
    invocation: &Invocation,
    limits: &Limits,
    stop: impl Future<Output = StopReason>,
    output: mpsc::Sender<Output>,
) -> Result<Ended, ProcessError> {
    run_with(invocation, None, limits, stop, output).await
}

/// As [`run`], for a program that inherits `control`, whose number is in its environment.
pub(crate) async fn run_with(
    invocation: &Invocation,
    control: Option<OwnedFd>,
    limits: &Limits,
    stop: impl Future<Output = StopReason>,
    output: mpsc::Sender<Output>,
) -> Result<Ended, ProcessError> {
    let started_at = Instant::now();
    let (ours, theirs) = pipes().map_err(ProcessError::Setup)?;
    let (listener, theirs_listener) = match &invocation.door {
        Some(door) => {
            let (ours, theirs) = UnixStream::pair().map_err(ProcessError::Setup)?;
            (Some((ours, door)), Some(theirs.into()))
        }
        None => (None, None),
    };
    let extra = Extra {
        control: control.as_ref(),
        listener: theirs_listener.as_ref(),
    };
    let (supervisor, socket) = start_supervisor(invocation, &theirs, &extra)?;
    // As long as one of them is open here, its end is not seen.
    drop((theirs, control, theirs_listener));
    let mut supervision = Supervision::new(supervisor, socket).map_err(ProcessError::Setup)?;
    let order = RunOrder {
        program: invocation.program.clone().into_os_string(),
        args: invocation.args.clone(),
        env: invocation.env.clone(),
        cwd: invocation.cwd.clone().into_os_string(),
        files: invocation.files.iter().map(SecretFile::order).collect(),
        policy: invocation.policy.clone(),
        bait: invocation.bait.clone(),
    };
    let follow = supervision.follow(&order, limits, stop);
    let redactor = &invocation.redactor;
    let run = read(ours, limits, redactor, &output, started_at, follow);
    tokio::select! {
        ended = run => ended,
        never = door::serve(listener) => match never {},
    }
}

/// Descriptors that few runs need.
struct Extra<'a> {
    control: Option<&'a OwnedFd>,
    listener: Option<&'a OwnedFd>,
}

/// Both ends of the pipes of one run: those to read here, and the plugin's.
pub(crate) fn pipes() -> io::Result<(Pipes<OwnedFd>, Pipes<OwnedFd>)> {
    let (stdout, plugin_stdout) = io::pipe()?;
    let (stderr, plugin_stderr) = io::pipe()?;
    let (events, plugin_events) = io::pipe()?;
    let ends = |stdout, stderr, events| Pipes {
        stdout,
        stderr,
        events,
        control: None,
        listener: None,
    };
    let ours = ends(stdout.into(), stderr.into(), events.into());
    let theirs = ends(
        plugin_stdout.into(),
        plugin_stderr.into(),
        plugin_events.into(),
    );
    Ok((ours, theirs))
}

/// Reads what a plugin writes until `follow` knows how its process tree has ended.
///
/// # Errors
/// Those of `follow`, and [`ProcessError::Setup`].
pub(crate) async fn read<E: From<ProcessError>>(
    ends: Pipes<OwnedFd>,
    limits: &Limits,
    redactor: &Redactor,
    output: &mpsc::Sender<Output>,
    started_at: Instant,
    follow: impl Future<Output = Result<Verdict, E>>,
) -> Result<Ended, E> {
    let over = CancellationToken::new();
    let ahead = Ahead::of(&ends.events).map_err(ProcessError::Setup)?;
    let pipe = |end| Pipe::new(end, over.clone()).map_err(ProcessError::Setup);
    let (stdout, stderr, events) = (pipe(ends.stdout)?, pipe(ends.stderr)?, pipe(ends.events)?);
    let follow = async {
        let verdict = follow.await;
        over.cancel();
        verdict
    };
    let (verdict, stdout_bytes, stderr, events) = tokio::join!(
        follow,
        read_stdout(stdout, limits, redactor, &ahead, output),
        read_stderr(stderr, limits, redactor, &ahead, output),
        read_events(events, limits, redactor, &ahead, output),
    );
    let Verdict {
        exit,
        started,
        start,
    } = verdict?;
    Ok(Ended {
        exit,
        started,
        start,
        stdout_bytes,
        stdout_truncated: stdout_bytes > limits.stdout_max_bytes,
        stderr_tail: stderr.tail,
        log_lines_dropped: stderr.dropped,
        events_dropped: events.dropped,
        duration: started_at.elapsed(),
        cpu: None,
        hit: Hits::default(),
    })
}

/// Runs one plugin to its end and answers what it printed, for short outputs that nobody follows.
///
/// # Errors
/// As [`run`].
pub async fn capture(
    invocation: &Invocation,
    limits: &Limits,
) -> Result<(Ended, Vec<u8>), ProcessError> {
    let (sender, mut receiver) = mpsc::channel(16);
    let printed = async {
        let mut printed = Vec::new();
        while let Some(output) = receiver.recv().await {
            if let Output::Stdout(chunk) = output {
                printed.extend(chunk);
            }
        }
        printed
    };
    let (ended, printed) = tokio::join!(
        run(invocation, limits, std::future::pending(), sender),
        printed
    );
    Ok((ended?, printed))
}

/// What to run, and how.
#[derive(Clone)]
pub struct Invocation {
    /// The binary that becomes the supervisor when its first argument is
    /// [`SUPERVISOR_COMMAND`]: `/proc/self/exe`, so that an upgrade on disk cannot mix
    /// two versions.
    pub supervisor: PathBuf,
    /// The program; an absolute path, as no `PATH` is searched.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Its whole environment, but for `SMCP_EVENTS_FD`, which is added.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory; an absolute path.
    pub cwd: PathBuf,
    /// Files in its working directory that it alone can read, gone when it has ended.
    pub files: Vec<SecretFile>,
    /// What is struck out of everything that it writes, before anybody sees it.
    pub redactor: Redactor,
    /// What it may do; `None` for what the operator trusts: it is started as it is.
    pub policy: Option<Policy>,
    /// The way out of its network namespace, where it has one.
    pub door: Option<Door>,
    /// What to try to get at under that policy, instead of running the program: its standard output tells what came
    /// of it.
    pub bait: Option<Bait>,
}

/// A secret that a run gets in a file.
#[derive(Debug, Clone)]
pub struct SecretFile {
    /// Where, as the run names it.
    pub path: PathBuf,
    /// What is in it.
    pub text: Plain,
}

impl SecretFile {
    fn order(&self) -> (OsString, String) {
        let text = self.text.reveal().to_owned();
        (self.path.clone().into(), text)
    }
}

impl fmt::Debug for Invocation {
    /// Names the environment's variables only: values and arguments may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Invocation")
            .field("program", &self.program)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

/// What one run may take and print.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long it may take, from the start of its supervisor; `None` is for ever.
    pub timeout: Option<Duration>,
    /// The time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The same where somebody has asked for the stop and waits for it.
    pub cancel_grace: Duration,
    /// Bytes of stdout that are passed on; the rest is read, counted and thrown away.
    pub stdout_max_bytes: u64,
    /// Bytes of stderr that are kept, counted from its end.
    pub stderr_tail_bytes: usize,
    /// Lines of stderr that are passed on; the rest is counted.
    pub max_log_lines: u64,
    /// Lines of events that are passed on; the rest is counted.
    pub max_events: u64,
    /// The memory that the sandbox gives it, in MiB, to be told where it was too little; `None` where that is not
    /// limited.
    pub memory_mb: Option<u64>,
    /// The processes and threads that the sandbox gives it, likewise.
    pub processes: Option<u64>,
    /// The seconds of processor time that the sandbox gives it, likewise.
    pub cpu_s: Option<u64>,
}

impl Limits {
    /// When a run that has begun at `begun` is to be stopped.
    pub(crate) fn deadline(&self, begun: tokio::time::Instant) -> tokio::time::Instant {
        begun + self.timeout.unwrap_or(NEVER).min(NEVER)
    }

    /// The time between SIGTERM and SIGKILL for a run that ends so.
    pub(crate) fn grace_before(&self, ending: &Exit) -> Duration {
        match ending {
            Exit::Stopped(StopReason::Cancelled) => self.cancel_grace,
            Exit::Stopped(StopReason::ShuttingDown | StopReason::LeaseLost)
            | Exit::TimedOut
            | Exit::Code(_)
            | Exit::Signal(_)
            | Exit::Refused { .. } => self.grace,
        }
        .min(NEVER)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: None,
            grace: Duration::from_secs(5),
            cancel_grace: Duration::from_millis(500),
            stdout_max_bytes: 16 * 1024 * 1024,
            stderr_tail_bytes: 256 * 1024,
            max_log_lines: 1_000,
            max_events: 10_000,
            memory_mb: None,
            processes: None,
            cpu_s: None,
        }
    }
}

/// Something the plugin wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// The next bytes of stdout, whatever they are; not cut at lines or characters.
    Stdout(Vec<u8>),
    /// A line of stderr, or one of the events descriptor that is no JSON. Cut after 8 KiB;
    /// what is no UTF-8 is replaced.
    Log(String),
    /// A line of the events descriptor.
    Event(serde_json::Value),
    /// A secret that it hands over by the events descriptor, or why what it hands over cannot be one.
    Secret(Result<Handed, Unfit>),
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The end itself.
    pub exit: Exit,
    /// Whether the program was started.
    pub started: bool,
    /// How it was started.
    pub start: Start,
    /// All that it printed to stdout, passed on or not, secrets struck out.
    pub stdout_bytes: u64,
    /// Whether that was more than the limit.
    pub stdout_truncated: bool,
    /// The end of stderr.
    pub stderr_tail: Vec<u8>,
    /// Lines of stderr beyond the limit.
    pub log_lines_dropped: u64,
    /// Lines of events beyond the limit.
    pub events_dropped: u64,
    /// From the start of the supervisor to the end of the tree.
    pub duration: Duration,
    /// The processor time that it used, where somebody has measured it.
    pub cpu: Option<Duration>,
    /// Limits that the kernel says it ran into.
    pub hit: Hits,
}

/// Limits that a run ran into, as the kernel counts such events. A limit that is not counted is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// A process of it was killed since there was no memory left for all of them.
    pub memory: bool,
    /// It could not start another process or thread.
    pub processes: bool,
}

impl Ended {
    /// A run that has ended so, and has written nothing.
    pub(crate) fn silent(exit: Exit, start: Start, duration: Duration) -> Self {
        Self {
            exit,
            started: true,
            start,
            stdout_bytes: 0,
            stdout_truncated: false,
            stderr_tail: Vec::new(),
            log_lines_dropped: 0,
            events_dropped: 0,
            duration,
            cpu: None,
            hit: Hits::default(),
        }
    }
}

/// What ended a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The program exited by itself with this code.
    Code(i32),
    /// The program was ended by this signal, which did not come from here.
    Signal(i32),
    /// The run took longer than its limit, and was stopped.
    TimedOut,
    /// The run was stopped by the caller.
    Stopped(StopReason),
    /// The program could not be started.
    Refused {
        /// For a program to decide by.
        kind: RefusalKind,
        /// What could not be put on, where the sandbox is the reason.
        mechanism: Option<Mechanism>,
        /// For a person to read.
        reason: String,
    },
}

/// Why the caller stops a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody cancelled the job.
    Cancelled,
    /// The worker is shutting down.
    ShuttingDown,
    /// The job belongs to another worker by now.
    LeaseLost,
}

/// Why a run has no known end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The supervisor's channels could not be made: descriptors are short.
    #[error("cannot prepare a plugin process")]
    Setup(#[source] io::Error),
    /// The supervisor could not be started.
    #[error("cannot start the supervisor {}", path.display())]
    Spawn {
        /// The supervisor's binary.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The supervisor died, or no longer answered and was killed; so was every process of
    /// its session. Those that had left the session may live on.
    #[error("the supervisor of a plugin process {how}")]
    SupervisorLost {
        /// What was seen of its end.
        how: String,
        /// Whether the plugin may have been started.
        may_have_started: bool,
    },
}

impl ProcessError {
    /// Whether the plugin may have been started, and may have had effects.
    pub fn may_have_started(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Spawn { .. } => false,
            Self::SupervisorLost {
                may_have_started, ..
            } => *may_have_started,
        }
    }
}

/// Starts a supervisor, and answers it with this side's end of its socket.
///
/// Its environment is empty, since any process of this user could read it.
#[expect(clippy::disallowed_methods, reason = "this is what starts supervisors")]
fn start_supervisor(
    invocation: &Invocation,
    pipes: &Pipes<OwnedFd>,
    extra: &Extra<'_>,
) -> Result<(Child, UnixStream), ProcessError> {
    let (socket, theirs) = UnixStream::pair().map_err(ProcessError::Setup)?;
    let pipes = Pipes {
        stdout: pipes.stdout.as_fd(),
        stderr: pipes.stderr.as_fd(),
        events: pipes.events.as_fd(),
        control: extra.control.map(AsFd::as_fd),
        listener: extra.listener.map(AsFd::as_fd),
    };
    send_pipes(&socket, &pipes).map_err(ProcessError::Setup)?;
    let child = Command::new(&invocation.supervisor)
        .arg0("smcp")
        .arg(SUPERVISOR_COMMAND)
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .map_err(|source| ProcessError::Spawn {
            path: invocation.supervisor.clone(),
            source,
        })?;
    Ok((child, socket))
}
