//! `smcp sandbox-exec`: starts one plugin, stops it, and ends with its whole process tree.
//!
//! It is not for people: the worker starts it with a socket as descriptor 0. It has one
//! thread, and nothing else may run in it, since a thread is all that a process can
//! confine before it starts another.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::{Signal, setsid, umask};
use tokio::signal::unix::{SignalKind, signal};

use super::control::{Command, ExitStatus, Report, RunOrder, WorkerLink};
use super::launch::{Launched, Side, launch};
use super::refusal::Refusal;
use super::sys::close_inherited_on_exec;
use super::tree::{Tree, adopt_orphans};

/// How often to look whether the plugin has ended where no descriptor tells.
const EXIT_CHECK: Duration = Duration::from_millis(20);

/// Runs the supervisor; to be called before anything else in the process has started.
pub fn main() -> ExitCode {
    match supervise() {
        Ok(code) => code,
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

fn supervise() -> io::Result<ExitCode> {
    // A session of its own: Ctrl-C at the worker's terminal must not reach the plugin,
    // and the plugin must not reach the terminal.
    setsid()?;
    outlive_signals()?;
    adopt_orphans()?;
    umask(Mode::RWXG | Mode::RWXO);
    close_inherited_on_exec()?;

    let mut worker = WorkerLink::from_stdin()?;
    let pipes = worker.receive_pipes()?;
    let Some(order) = worker.receive::<RunOrder>()? else {
        return Ok(ExitCode::SUCCESS);
    };
    let cgroup = order
        .policy
        .as_ref()
        .and_then(|policy| policy.cgroup.clone());
    let report = match launch(&order, pipes) {
        Ok(Side::Child(code)) => return Ok(code),
        Ok(Side::Supervisor(plugin)) => {
            drop(order); // it may hold secrets
            oversee(&mut worker, plugin)
        }
        Err(Refusal {
            kind,
            mechanism,
            reason,
        }) => Report::Refused {
            kind,
            mechanism,
            reason,
        },
    };
    if worker.send(&report).is_err()
        && let Some(cgroup) = cgroup
    {
        // The worker is gone, who has made it and would have removed it. It is empty now.
        fs::remove_dir(cgroup).ok();
    }
    Ok(ExitCode::SUCCESS)
}

/// Sees the plugin to its end. Nothing here may fail: the tree must go, whatever happens.
fn oversee(worker: &mut WorkerLink, plugin: Launched) -> Report {
    let tree = Tree::new(plugin.child);
    worker
        .send(&Report::Started {
            pid: plugin.child.as_raw_nonzero().get(),
        })
        .ok();
    let stopped = watch(worker, &tree);
    let killed = tree.kill();
    Report::Exited {
        // What could not be reaped has been sent this signal, and dies of it some day.
        status: plugin
            .verdict()
            .or(killed.status)
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
