//! What the worker and the supervisor say to each other, one JSON line a message.
//!
//! They share a Unix stream socket, which is the supervisor's descriptor 0. It is
//! a lifeline as well: its end of file tells either side that the other is gone.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::policy::Policy;
use super::probes::Bait;

/// The variable in which a plugin finds the number of its events descriptor.
pub(crate) const EVENTS_FD_VAR: &str = "SMCP_EVENTS_FD";

/// The variable in which a waiting interpreter finds the number of its control descriptor.
pub(crate) const CONTROL_FD_VAR: &str = "SMCP_CONTROL_FD";

/// The descriptors that the supervisor gets besides its socket.
#[derive(Debug)]
pub(crate) struct Pipes<Fd> {
    /// The write ends that become the plugin's.
    pub(crate) stdout: Fd,
    pub(crate) stderr: Fd,
    pub(crate) events: Fd,
    /// A socket that a waiting interpreter inherits: over it the worker tells it its calls.
    pub(crate) control: Option<Fd>,
    /// A socket over which the listener of the plugin's proxy is handed to the worker.
    pub(crate) listener: Option<Fd>,
}

/// In the byte that travels with the descriptors: which of the optional ones are there.
const HAS_CONTROL: u8 = 1;
const HAS_LISTENER: u8 = 2;
/// The most descriptors that travel together.
const MAX_PIPES: usize = 5;

/// What to run: the worker's first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunOrder {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: OsString,
    /// Files to write before it starts, for it alone to read: paths and texts.
    pub(crate) files: Vec<(OsString, String)>,
    /// What it may do; `None` for what the operator trusts.
    pub(crate) policy: Option<Policy>,
    /// What to try to get at under that policy, instead of running a program.
    pub(crate) bait: Option<Bait>,
}

/// What the worker says after the run order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// SIGTERM to the plugin's process group now, SIGKILL to its tree after `grace_ms`.
    Stop { grace_ms: u64 },
}

/// What the supervisor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(crate) enum Report {
    /// The program runs; its process group has the same number.
    Started { pid: i32 },
    /// The program could not be started. Nothing follows.
    Refused {
        kind: RefusalKind,
        mechanism: Option<Mechanism>,
        reason: String,
    },
    /// The program has ended and its tree is gone. Nothing follows.
    Exited {
        status: ExitStatus,
        /// Whether a stop was carried out before the program ended.
        stopped: bool,
        /// Processes of the tree that no signal could end.
        survivors: usize,
    },
}

/// How the program's own process ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExitStatus {
    Code(i32),
    Signal(i32),
}

/// Why a program could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The program, its working directory or the interpreter in its first line does not exist.
    NotFound,
    /// The program may not be executed by this user.
    NotPermitted,
    /// The file is no program: neither a binary of this machine nor a script with `#!`.
    NotExecutable,
    /// Arguments and environment exceed what the kernel hands to a program.
    TooLarge,
    /// Processes, memory or descriptors are short, or the file is being written: the same
    /// start may succeed later.
    Temporary,
    /// Anything else, as told by the reason.
    Other,
    /// It cannot be confined as its policy says.
    Sandbox,
}

/// What confines a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// Namespaces with a root directory, processes and a network of its own.
    Namespaces,
    /// A user of its own.
    User,
    /// No privileges, and none to gain.
    Privileges,
    /// Landlock: which files may be opened.
    Landlock,
    /// seccomp: which system calls may be made.
    Seccomp,
    /// Limits of single processes.
    Limits,
    /// A cgroup, with limits of all processes together.
    Cgroup,
}

/// Hands the plugin's descriptors to the supervisor, before any line.
///
/// They travel over the socket rather than by inheritance, so that all of them stay
/// close-on-exec in the worker and none can leak into a process it starts meanwhile.
///
/// # Errors
/// When the socket refuses them.
pub(crate) fn send_pipes(socket: &UnixStream, pipes: &Pipes<BorrowedFd<'_>>) -> io::Result<()> {
    let mut fds = vec![pipes.stdout, pipes.stderr, pipes.events];
    fds.extend(pipes.control);
    fds.extend(pipes.listener);
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_PIPES))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let control = pipes.control.map_or(0, |_| HAS_CONTROL);
    let listener = pipes.listener.map_or(0, |_| HAS_LISTENER);
    // Descriptors need a byte to travel with.
    let byte = [control | listener];
    sendmsg(
        socket,
        &[IoSlice::new(&byte)],
        &mut ancillary,
        SendFlags::empty(),
    )?;
    Ok(())
}

/// Sends one descriptor over `socket`.
///
/// # Errors
/// When the socket refuses it.
pub(crate) fn send_descriptor(socket: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(&fd)));
    let byte = [IoSlice::new(&[0])];
    sendmsg(socket, &byte, &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Receives the descriptor that [`send_descriptor`] has sent.
///
/// # Errors
/// When the other end is closed, or sent something else.
pub(crate) fn receive_descriptor(socket: &impl AsFd) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut iov, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        RecvAncillaryMessage::ScmCredentials(_) | _ => None,
    });
    descriptor.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The supervisor's end of the socket.
#[derive(Debug)]
pub(super) struct WorkerLink {
    socket: BufReader<UnixStream>,
}

impl WorkerLink {
    /// Takes descriptor 0 as the link to the worker.
    ///
    /// # Errors
    /// When descriptor 0 is closed.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self {
            socket: BufReader::new(socket),
        })
    }

    /// The plugin's descriptors, which the worker sends first.
    ///
    /// # Errors
    /// When descriptor 0 is no socket, or something else came.
    pub(super) fn receive_pipes(&self) -> io::Result<Pipes<OwnedFd>> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_PIPES))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut iov = [IoSliceMut::new(&mut byte)];
        recvmsg(
            self.socket.get_ref(),
            &mut iov,
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut fds = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        let mut fds = fds.into_iter();
        let mut next = || fds.next().ok_or(io::ErrorKind::UnexpectedEof);
        let (stdout, stderr, events) = (next()?, next()?, next()?);
        let mut optional = |flag| (byte[0] & flag != 0).then(&mut next).transpose();
        Ok(Pipes {
            stdout,
            stderr,
            events,
            control: optional(HAS_CONTROL)?,
            listener: optional(HAS_LISTENER)?,
        })
    }

    /// The next message of the worker, waiting for it; `None` when the worker is gone.
    ///
    /// # Errors
    /// When the socket fails or the line is not the expected message.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = Vec::new();
        self.socket.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&line)?))
    }

    /// Whether more was read than [`receive`](Self::receive) has answered yet.
    pub(super) fn has_unread(&self) -> bool {
        !self.socket.buffer().is_empty()
    }

    /// The socket, to poll.
    pub(super) fn socket(&self) -> &UnixStream {
        self.socket.get_ref()
    }

    /// Tells the worker something.
    ///
    /// # Errors
    /// When the worker is gone.
    pub(super) fn send(&mut self, report: &Report) -> io::Result<()> {
        self.socket.get_mut().write_all(&line(report)?)
    }
}

/// `message` as one JSON line.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}
