//! `smcp sandbox-exec`: starts one plugin, stops it, and ends with its whole process tree.
//!
//! It is not for people: the worker starts it with a socket as descriptor 0. It has one
//! thread, and nothing else may run in it, since a thread is all that a process can
//! confine before it starts another.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, setsid, umask};
use tokio::signal::unix::{SignalKind, signal};

use super::control::{
    CONTROL_FD_VAR, Command, EVENTS_FD_VAR, ExitStatus, Pipes, RefusalKind, Report, RunOrder,
    WorkerLink,
};
use super::tree::{Tree, adopt_orphans};

/// How often to look whether the plugin has ended where no descriptor tells.
const EXIT_CHECK: Duration = Duration::from_millis(20);

/// Runs the supervisor; to be called before anything else in the process has started.
pub fn main() -> ExitCode {
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(
                io::stderr(),
                "smcp sandbox-exec (only a worker can start it): {error}"
            )
            .ok();
            ExitCode::FAILURE
        }
    }
}

fn supervise() -> io::Result<()> {
    // A session of its own: Ctrl-C at the worker's terminal must not reach the plugin,
    // and the plugin must not reach the terminal.
    setsid()?;
    outlive_signals()?;
    adopt_orphans()?;
    umask(Mode::RWXG | Mode::RWXO);

    let mut worker = WorkerLink::from_stdin()?;
    let pipes = worker.receive_pipes()?;
    let Some(order) = worker.receive::<RunOrder>()? else {
        return Ok(());
    };
    let report = match spawn(&order, pipes) {
        Ok(plugin) => {
            drop(order); // it may hold secrets
            oversee(&mut worker, plugin)
        }
        Err(error) => {
            let (kind, reason) = refusal(&order, &error);
            Report::Refused { kind, reason }
        }
    };
    // A worker that is gone wants no report.
    worker.send(&report).ok();
    Ok(())
}

/// Sees the plugin to its end. Nothing here may fail: the tree must go, whatever happens.
fn oversee(worker: &mut WorkerLink, plugin: Pid) -> Report {
    let tree = Tree::new(plugin);
    worker
        .send(&Report::Started {
            pid: plugin.as_raw_nonzero().get(),
        })
        .ok();
    let stopped = watch(worker, &tree);
    let killed = tree.kill();
    Report::Exited {
        // What could not be reaped has been sent this signal, and dies of it some day.
        status: killed
            .status
            .unwrap_or(ExitStatus::Signal(Signal::KILL.as_raw())),
        stopped,
        survivors: killed.survivors,
    }
}

/// Keeps signals meant for the whole service from ending this process before the tree.
///
/// `systemctl stop` signals every process of the service. The worker hears of it as well
/// and decides what becomes of the plugin. Handlers, unlike ignored signals, are not
/// inherited by the plugin; and tokio's stay installed when its runtime has gone.
fn outlive_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _context = runtime.enter();
    // SIGCHLD only so that it interrupts a poll, for orphans to be reaped soon.
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::child(),
    ] {
        drop(signal(kind)?);
    }
    Ok(())
}

/// Starts the program with exactly four descriptors: 0, 1, 2 and that of its events.
///
/// The standard library resets the signal mask and SIGPIPE for it. This process keeps no
/// copy of the pipes, so that the worker sees their end as soon as the tree is gone.
#[expect(clippy::disallowed_methods, reason = "this is what starts plugins")]
fn spawn(order: &RunOrder, pipes: Pipes<OwnedFd>) -> io::Result<Pid> {
    fcntl_setfd(&pipes.stdout, FdFlags::CLOEXEC)?;
    fcntl_setfd(&pipes.stderr, FdFlags::CLOEXEC)?;
    let control = pipes.control.as_ref().map(|fd| fd.as_raw_fd().to_string());
    let child = std::process::Command::new(&order.program)
        .args(&order.args)
        .env_clear()
        .envs(order.env.iter().map(|(name, value)| (name, value)))
        .env(EVENTS_FD_VAR, pipes.events.as_raw_fd().to_string())
        .envs(control.map(|number| (CONTROL_FD_VAR, number)))
        .current_dir(&order.cwd)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(pipes.stdout)
        .stderr(pipes.stderr)
        .spawn()?;
    Ok(Pid::from_child(&child))
}

/// Waits until the plugin has ended or must be killed; answers whether it was stopped.
fn watch(worker: &mut WorkerLink, tree: &Tree) -> bool {
    let exit_signal = tree.exit_signal();
    let mut kill_at: Option<Instant> = None;
    let mut stopped = false;
    loop {
        if tree.plugin_ended() {
            return stopped;
        }
        tree.reap_orphans();
        let now = Instant::now();
        if kill_at.is_some_and(|at| at <= now) {
            return stopped;
        }
        let remaining = kill_at.map(|at| at - now);
        let timeout = match exit_signal {
            Some(_) => remaining,
            None => Some(remaining.map_or(EXIT_CHECK, |left| left.min(EXIT_CHECK))),
        };
        if !readable(worker, exit_signal.as_ref(), timeout) {
            continue;
        }
        // A worker that is gone, or talks nonsense, will not stop the plugin later.
        let Ok(Some(Command::Stop { grace_ms })) = worker.receive() else {
            return stopped;
        };
        tree.terminate();
        stopped = true;
        let at = Instant::now().checked_add(Duration::from_millis(grace_ms));
        kill_at = kill_at.into_iter().chain(at).min();
    }
}

/// Waits for the worker, the plugin's end, a signal or `timeout`; answers whether the
/// worker said something or is gone.
fn readable(worker: &WorkerLink, exit_signal: Option<&OwnedFd>, timeout: Option<Duration>) -> bool {
    if worker.has_unread() {
        return true;
    }
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let mut fds = vec![PollFd::new(worker.socket(), PollFlags::IN)];
    fds.extend(exit_signal.map(|fd| PollFd::new(fd, PollFlags::IN)));
    poll(&mut fds, timeout.as_ref()).is_ok() && !fds[0].revents().is_empty()
}

/// Why the program of `order` did not start, for a machine and for a person.
fn refusal(order: &RunOrder, error: &io::Error) -> (RefusalKind, String) {
    let program = Path::new(&order.program);
    let kind = match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) => RefusalKind::NotFound,
        Some(Errno::ACCESS | Errno::PERM) => RefusalKind::NotPermitted,
        Some(Errno::NOEXEC) => RefusalKind::NotExecutable,
        Some(Errno::TOOBIG) => RefusalKind::TooLarge,
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::TXTBSY) => {
            RefusalKind::Temporary
        }
        Some(_) | None => RefusalKind::Other,
    };
    let reason = match kind {
        RefusalKind::NotFound if !Path::new(&order.cwd).is_dir() => {
            format!("working directory {} does not exist", shown(&order.cwd))
        }
        RefusalKind::NotFound if program.exists() => format!(
            "{}: the interpreter named in its first line does not exist",
            shown(&order.program)
        ),
        RefusalKind::NotFound => format!("{} does not exist", shown(&order.program)),
        RefusalKind::NotExecutable => format!(
            "{} is neither a binary for this machine nor a script that begins with #!",
            shown(&order.program)
        ),
        RefusalKind::NotPermitted
        | RefusalKind::TooLarge
        | RefusalKind::Temporary
        | RefusalKind::Other
        | RefusalKind::Sandbox => format!("{}: {error}", shown(&order.program)),
    };
    (kind, reason)
}

fn shown(path: &OsStr) -> std::path::Display<'_> {
    Path::new(path).display()
}
