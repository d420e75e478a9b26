//! The worker's end of a supervisor: the run order, the stop, and the reports.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::time::Duration;

use rustix::process::Pid;
use smcp_common::sandbox::Start;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::time::{Instant, sleep_until, timeout};

use super::process::{Exit, Limits, ProcessError, StopReason};
use crate::sandbox::control::{Command, ExitStatus, Report, RunOrder, line};
use crate::sandbox::tree::kill_session;

/// How long the supervisor may take for its own work: to read its order, to sweep the
/// tree (5 s at most), to exit. Beyond it, it is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A supervisor at work. Dropping it closes the socket, on which the supervisor kills
/// the plugin's tree.
#[derive(Debug)]
pub(super) struct Supervision {
    supervisor: Child,
    socket: Lines<BufReader<UnixStream>>,
    ordered: bool,
}

/// How a run has ended.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) exit: Exit,
    pub(crate) started: bool,
    pub(crate) start: Start,
}

impl Supervision {
    /// Takes over `supervisor`, which has the other end of `socket`.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub(super) fn new(supervisor: Child, socket: StdUnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = BufReader::new(UnixStream::from_std(socket)?).lines();
        Ok(Self {
            supervisor,
            socket,
            ordered: false,
        })
    }

    /// Has `order` run and follows it to its end, stopping it when it is time to.
    ///
    /// # Errors
    /// [`ProcessError::SupervisorLost`].
    pub(super) async fn follow(
        &mut self,
        order: &RunOrder,
        limits: &Limits,
        stop: impl Future<Output = StopReason>,
    ) -> Result<Verdict, ProcessError> {
        let deadline = limits.deadline(Instant::now());
        let verdict = self.converse(order, limits, deadline, stop).await;
        match verdict {
            Ok(verdict) => {
                // It exits after its last report; waiting for it leaves no zombie.
                timeout(PATIENCE, self.supervisor.wait()).await.ok();
                Ok(verdict)
            }
            Err(lost) => Err(self.lose(&lost).await),
        }
    }

    async fn converse(
        &mut self,
        order: &RunOrder,
        limits: &Limits,
        deadline: Instant,
        stop: impl Future<Output = StopReason>,
    ) -> io::Result<Verdict> {
        timeout(PATIENCE, self.send(order)).await??;
        self.ordered = true;
        let mut stop = pin!(stop);
        let mut deadline = pin!(sleep_until(deadline));
        let mut stopped_as = None;
        loop {
            let ending = tokio::select! {
                report = self.socket.next_line() => {
                    let report = report?.ok_or(io::ErrorKind::UnexpectedEof)?;
                    match serde_json::from_str(&report)? {
                        Report::Started { pid } => {
                            tracing::Span::current().record("plugin.pid", pid);
                        }
                        Report::Refused { kind, mechanism, reason } => {
                            return Ok(Verdict { exit: Exit::Refused { kind, mechanism, reason }, started: false, start: Start::Cold });
                        }
                        Report::Exited { status, stopped, survivors } => {
                            if survivors > 0 {
                                tracing::warn!(survivors, "processes of a plugin cannot be killed");
                            }
                            let exit = match (stopped_as, status) {
                                (Some(exit), _) if stopped => exit,
                                (_, ExitStatus::Code(code)) => Exit::Code(code),
                                (_, ExitStatus::Signal(signal)) => Exit::Signal(signal),
                            };
                            return Ok(Verdict { exit, started: true, start: Start::Cold });
                        }
                    }
                    continue;
                }
                reason = &mut stop, if stopped_as.is_none() => Exit::Stopped(reason),
                () = &mut deadline => {
                    if stopped_as.is_some() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    Exit::TimedOut
                }
            };
            let grace = limits.grace_before(&ending);
            stopped_as = Some(ending);
            deadline.as_mut().reset(Instant::now() + grace + PATIENCE);
            let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            // It may have reported and left meanwhile: the next line tells.
            self.send(&Command::Stop { grace_ms }).await.ok();
        }
    }

    async fn send(&mut self, message: &impl serde::Serialize) -> io::Result<()> {
        self.socket.get_mut().write_all(&line(message)?).await
    }

    /// Kills what can still be reached of a supervisor that is gone or does not answer.
    async fn lose(&mut self, lost: &io::Error) -> ProcessError {
        self.supervisor.start_kill().ok();
        let supervisor = self.supervisor.id().and_then(|id| i32::try_from(id).ok());
        if let Some(supervisor) = supervisor.and_then(Pid::from_raw) {
            kill_session(supervisor);
        }
        let how = match timeout(PATIENCE, self.supervisor.wait()).await {
            Ok(Ok(status)) if lost.kind() != io::ErrorKind::TimedOut => {
                format!("ended early ({status})")
            }
            _ => "does not answer".to_owned(),
        };
        ProcessError::SupervisorLost {
            how,
            may_have_started: self.ordered,
        }
    }
}
