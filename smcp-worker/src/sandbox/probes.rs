//! What a hostile plugin would try first, tried out within a sandbox. Nothing is claimed that was not tried.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, Uid, geteuid, test_kill_process};
use rustix::thread::{capabilities, set_thread_res_uid};
use serde::{Deserialize, Serialize};
use smcp_common::sandbox::Key;

use super::control::line;
use super::sys;

/// Things outside of the sandbox that a plugin must not get at, though their permissions are open to everybody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bait {
    /// A file that everybody may read and write, in a directory that everybody may write.
    pub(crate) file: PathBuf,
    /// A TCP port of the loopback address on which somebody listens.
    pub(crate) port: u16,
    /// A Unix socket on which somebody listens, by its path.
    pub(crate) socket: PathBuf,
    /// The same by an abstract name.
    pub(crate) name: String,
    /// A process.
    pub(crate) pid: i32,
}

/// What came of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probed {
    /// What would have kept it.
    pub(crate) key: Key,
    /// What was tried: "read a file outside".
    pub(crate) what: String,
    /// Whether it was refused.
    pub(crate) refused: bool,
}

/// Tries everything, and writes what came of it to `stdout` as one line of JSON.
///
/// # Errors
/// When nobody reads it.
pub(super) fn run(bait: &Bait, stdout: OwnedFd) -> io::Result<()> {
    File::from(stdout).write_all(&line(&all(bait))?)
}

fn all(bait: &Bait) -> Vec<Probed> {
    let mut probed = Vec::new();
    let mut note = |key, what: &str, refused| {
        probed.push(Probed {
            key,
            what: what.to_owned(),
            refused,
        });
    };
    let other = Pid::from_raw(bait.pid);
    let beside = bait.file.with_extension("made");
    note(
        Key::Filesystem,
        "read a file outside",
        fs::read(&bait.file).is_err(),
    );
    note(
        Key::Filesystem,
        "write to a file outside",
        File::options().append(true).open(&bait.file).is_err(),
    );
    note(
        Key::Filesystem,
        "make a file outside",
        File::create_new(&beside).is_err(),
    );
    note(
        Key::NetworkNone,
        "connect to a TCP port",
        TcpStream::connect(("127.0.0.1", bait.port)).is_err(),
    );
    note(
        Key::NetworkNone,
        "connect to a Unix socket by its path",
        connect(&bait.socket).is_err(),
    );
    let name = SocketAddr::from_abstract_name(&bait.name);
    note(
        Key::NetworkNone,
        "connect to a Unix socket by an abstract name",
        name.and_then(|name| UnixStream::connect_addr(&name))
            .is_err(),
    );
    note(
        Key::Isolation,
        "signal another process",
        other.is_none_or(|other| test_kill_process(other).is_err()),
    );
    note(
        Key::Isolation,
        "read the environment of another process",
        fs::read(format!("/proc/{}/environ", bait.pid)).is_err(),
    );
    note(
        Key::Isolation,
        "read the arguments of another process",
        fs::read(format!("/proc/{}/cmdline", bait.pid)).is_err(),
    );
    let root = Uid::ROOT;
    note(
        Key::Privileges,
        "become root",
        !geteuid().is_root() && set_thread_res_uid(root, root, root).is_err(),
    );
    note(
        Key::Privileges,
        "use a capability",
        capabilities(None).is_ok_and(|sets| sets.effective.is_empty() && sets.permitted.is_empty()),
    );
    for (what, number, first) in CALLS {
        let error = sys::attempt(*number, *first);
        let error = error.and_then(|error| Errno::from_io_error(&error));
        let refused = matches!(error, Some(Errno::PERM | Errno::NOSYS | Errno::ACCESS));
        note(Key::Syscalls, what, refused);
    }
    probed
}

/// System calls that must fail for want of permission, not for the arguments, which are all null but the first.
const CALLS: &[(&str, libc::c_long, libc::c_long)] = &[
    ("trace processes", libc::SYS_ptrace, 0),
    (
        "make a user namespace",
        libc::SYS_unshare,
        libc::CLONE_NEWUSER as libc::c_long,
    ),
    ("make an io_uring", libc::SYS_io_uring_setup, 1),
    ("load a BPF program", libc::SYS_bpf, 5),
    ("handle page faults", libc::SYS_userfaultfd, 0),
    ("use the kernel's keys", libc::SYS_keyctl, 0),
    ("mount", libc::SYS_mount, 0),
    ("change the root directory", libc::SYS_chroot, 0),
];

/// Connects to a socket from its directory, as its path may be too long for one.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    rustix::process::chdir(directory)?;
    UnixStream::connect(name)
}
