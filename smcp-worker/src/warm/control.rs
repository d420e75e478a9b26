//! What the worker and a waiting interpreter say to each other: datagrams of fields that end with a zero byte.
//!
//! | to the interpreter | |
//! |---|---|
//! | its program | before all others, and without a zero byte |
//! | `call` | with four descriptors: standard output, standard error, events, and the request |
//! | `stop` | SIGTERM to the process group of the call that runs |
//!
//! What it answers is in [`Said`]. A request is a file in memory, which the interpreter hands to its fork without reading
//! it, so that nothing of one call is in the memory of the next: the working directory, the numbers of arguments and of
//! files, the arguments, the paths and texts of the files, the environment.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;

use rustix::cmsg_space;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::pwrite;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::plugin::process::{Exit, Invocation};
use crate::sandbox::control::Pipes;

/// A longer message is not understood. The longest names the directories of `sys.path`.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// What a waiting interpreter says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// It waits for calls. What it has loaded is in these files and directories; of the plugin's imports these, by name.
    Ready {
        version: String,
        imported: Vec<String>,
        paths: Vec<PathBuf>,
    },
    /// It must not be used, and ends.
    Refused { reasons: Vec<String> },
    /// The plugin's file begins to run now, as this process.
    Started { pid: String },
    /// The fork has ended; `stopped` says that it was asked to before, `left` that a process of it lives.
    Ended {
        exit: Exit,
        stopped: bool,
        left: bool,
    },
    /// After the end: nothing of the call is left.
    Clean,
    /// After the end: this directory cannot be emptied.
    Soiled { path: String },
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct Link {
    socket: UnixStream,
    buffer: Vec<u8>,
}

impl Link {
    /// A link, and the descriptor for the interpreter.
    ///
    /// # Errors
    /// When descriptors are short.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let ours = StdUnixStream::from(ours);
        ours.set_nonblocking(true)?;
        let link = Self {
            socket: UnixStream::from_std(ours)?,
            buffer: vec![0; MAX_MESSAGE_BYTES],
        };
        Ok((link, theirs))
    }

    /// What it says next. Nothing is lost where this is dropped while it waits.
    ///
    /// # Errors
    /// When it is gone, or not understood.
    pub(super) async fn receive(&mut self) -> io::Result<Said> {
        let (socket, buffer) = (&self.socket, &mut self.buffer[..]);
        // Not by `read`, which takes a message that does not fill the buffer for the last one there is.
        let receive = || Ok(recv(socket, &mut *buffer, RecvFlags::empty())?);
        let (length, _) = socket.async_io(Interest::READABLE, receive).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        parse(&self.buffer[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Gives it its program, which must be the first message.
    ///
    /// # Errors
    /// When it is gone, or the program is longer than a message may be.
    pub(super) fn begin(&self, program: &str) -> io::Result<()> {
        self.send(program.as_bytes(), &[])
    }

    /// Has it run a call.
    ///
    /// # Errors
    /// When it is gone or does not listen.
    pub(super) fn call(&self, pipes: &Pipes<OwnedFd>, request: &OwnedFd) -> io::Result<()> {
        self.send(
            b"call\0",
            &[
                pipes.stdout.as_fd(),
                pipes.stderr.as_fd(),
                pipes.events.as_fd(),
                request.as_fd(),
            ],
        )
    }

    /// Has it ask the call to end.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(super) fn stop(&self) -> io::Result<()> {
        self.send(b"stop\0", &[])
    }

    fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(
            &self.socket,
            &[IoSlice::new(message)],
            &mut ancillary,
            flags,
        )?;
        Ok(())
    }
}

/// What the fork of a call needs to know. The first of the arguments is the plugin's file, which its interpreter knows.
///
/// # Errors
/// When memory is short, or a string has a zero byte, which no program could be given.
pub(super) fn request(invocation: &Invocation) -> io::Result<OwnedFd> {
    let args = invocation.args.get(1..).unwrap_or_default();
    let mut text = Vec::new();
    let mut push = |parts: &[&OsStr]| {
        for part in parts {
            if part.as_bytes().contains(&0) {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
            text.extend_from_slice(part.as_bytes());
        }
        text.push(0);
        Ok(())
    };
    push(&[invocation.cwd.as_os_str()])?;
    push(&[OsStr::new(&args.len().to_string())])?;
    push(&[OsStr::new(&invocation.files.len().to_string())])?;
    for word in args {
        push(&[word])?;
    }
    for file in &invocation.files {
        push(&[file.path.as_os_str()])?;
        push(&[OsStr::new(file.text.reveal())])?;
    }
    for (name, value) in &invocation.env {
        push(&[name, OsStr::new("="), value])?;
    }
    let file = memfd_create("request", MemfdFlags::CLOEXEC)?;
    let mut written = 0;
    while written < text.len() {
        written += pwrite(&file, &text[written..], written as u64)?;
    }
    Ok(file)
}

fn parse(message: &[u8]) -> Option<Said> {
    let message = message.strip_suffix(b"\0")?;
    let mut fields = message.split(|&byte| byte == 0);
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let number = |field: &[u8]| str::from_utf8(field).ok()?.parse::<i32>().ok();
    let path = |field: &[u8]| PathBuf::from(OsString::from_vec(field.to_vec()));
    Some(match fields.next()? {
        b"ready" => Said::Ready {
            version: text(fields.next()?),
            imported: text(fields.next()?)
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect(),
            paths: fields.map(path).collect(),
        },
        b"refused" => Said::Refused {
            reasons: fields.map(text).collect(),
        },
        b"started" => Said::Started {
            pid: text(fields.next()?),
        },
        b"ended" => {
            let how = fields.next()?;
            let value = number(fields.next()?)?;
            let exit = match how {
                b"code" => Exit::Code(value),
                b"signal" => Exit::Signal(value),
                _ => return None,
            };
            let stopped = fields.next()? == b"1";
            let left = fields.next()? == b"1";
            Said::Ended {
                exit,
                stopped,
                left,
            }
        }
        b"clean" => Said::Clean,
        b"soiled" => Said::Soiled {
            path: text(fields.next()?),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_fields_that_end_with_a_zero_byte() {
        let ended = |exit, stopped, left| {
            Some(Said::Ended {
                exit,
                stopped,
                left,
            })
        };
        let rows: [(&[u8], _); 9] = [
            (b"clean\0", Some(Said::Clean)),
            (
                b"ended\0code\x007\x000\x001\0",
                ended(Exit::Code(7), false, true),
            ),
            (
                b"ended\0signal\x0015\x001\x000\0",
                ended(Exit::Signal(15), true, false),
            ),
            (b"ended\0code\x007\0", None),
            (b"ended\0other\x007\x000\x000\0", None),
            (
                b"ready\x003.11.2\0json os.path\0/a\0/b\0",
                Some(Said::Ready {
                    version: "3.11.2".to_owned(),
                    imported: vec!["json".to_owned(), "os.path".to_owned()],
                    paths: vec!["/a".into(), "/b".into()],
                }),
            ),
            (
                b"refused\0one\0two\0",
                Some(Said::Refused {
                    reasons: vec!["one".to_owned(), "two".to_owned()],
                }),
            ),
            (b"clean", None),
            (b"", None),
        ];
        for (message, expected) in rows {
            assert_eq!(
                parse(message),
                expected,
                "{:?}",
                String::from_utf8_lossy(message)
            );
        }
    }
}
