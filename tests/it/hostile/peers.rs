//! Whom a plugin might be after: other processes of the worker's user, and servers of this machine.

use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use super::ways::{Arena, allow};
use crate::processes;
use crate::world::{eventually, signal};

/// Sleeping processes of the worker's user, which end with this value.
#[derive(Debug)]
pub(super) struct Sleepers(Child);

impl Sleepers {
    /// One, with a secret in its environment.
    pub(super) fn one(arena: &Arena) -> Self {
        let mut command = arena.as_user("sleep");
        command.arg("600").env("HOSTILE_TOKEN", "hostile-secret");
        Self(
            command
                .stdin(Stdio::null())
                .process_group(0)
                .spawn()
                .unwrap(),
        )
    }

    /// Many, below a shell that waits for them.
    pub(super) fn many(arena: &Arena, count: usize) -> Self {
        let mut command = arena.as_user("sh");
        let script = "i=0; while [ $i -lt $0 ]; do sleep 600 & i=$((i+1)); done; wait";
        command.args(["-c", script, &count.to_string()]);
        let shell = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let sleepers = Self(shell);
        eventually("all of them sleep", || {
            (processes::children_of(sleepers.pid()).len() == count).then_some(())
        });
        sleepers
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it lives and is as it was.
    pub(super) fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        if self.lives() {
            // A negative number is the group.
            let group = format!("-{}", self.pid());
            let mut kill = std::process::Command::new("kill");
            let _gone_already = kill.args(["-KILL", "--", &group]).status();
        }
        let _reaped_already = self.0.wait();
    }
}

/// A server that counts who comes.
#[derive(Debug)]
pub(super) struct Port {
    tcp: TcpListener,
    udp: UdpSocket,
    pub(super) number: u16,
}

impl Port {
    pub(super) fn open() -> Self {
        // The same number for both kinds, which somebody else may have of one.
        let (tcp, udp) = eventually("a port is free", || {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            let udp = UdpSocket::bind(tcp.local_addr().unwrap()).ok()?;
            Some((tcp, udp))
        });
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let number = tcp.local_addr().unwrap().port();
        Self { tcp, udp, number }
    }

    /// How many connections and datagrams have come since somebody last asked.
    pub(super) fn arrived(&self) -> (usize, usize) {
        let mut connections = 0;
        loop {
            match self.tcp.accept() {
                Ok((mut peer, _)) => {
                    connections += 1;
                    // Read, so that its end is no error for whoever sent something.
                    peer.set_nonblocking(true).unwrap();
                    let _nothing_yet = peer.read(&mut [0; 64]);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        let mut datagrams = 0;
        while self.udp.recv(&mut [0; 64]).is_ok() {
            datagrams += 1;
        }
        (connections, datagrams)
    }
}

/// Unix sockets on which somebody listens.
#[derive(Debug)]
pub(super) struct Sockets {
    by_path: UnixListener,
    by_name: UnixListener,
    pub(super) name: String,
}

impl Sockets {
    pub(super) fn open(path: &Path) -> Self {
        let by_path = UnixListener::bind(path).unwrap();
        allow(path, 0o777);
        let name = format!("smcp-test-{}", path.display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixListener::bind_addr(&address).unwrap();
        by_path.set_nonblocking(true).unwrap();
        by_name.set_nonblocking(true).unwrap();
        Self {
            by_path,
            by_name,
            name,
        }
    }

    /// Whether anybody has come.
    pub(super) fn reached(&self) -> bool {
        self.by_path.accept().is_ok() || self.by_name.accept().is_ok()
    }
}

/// Sends SIGKILL.
pub(super) fn kill(pid: u32) {
    signal(pid, "KILL");
}
