//! Users for plugins of a root worker: each sandbox is a user of its own, so that limits that the kernel counts by
//! user are its own, and the files and processes of others are not.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Numbers that neither Linux distributions nor systemd give to anybody
/// (systemd, "Users, Groups, UIDs and GIDs on systemd systems").
const RANGE: std::ops::RangeInclusive<u32> = 60_706..=61_183;

/// A user that nobody else on this machine runs a plugin as, until this is dropped.
#[derive(Debug)]
pub(crate) struct LentUser {
    id: u32,
    /// The name of this socket is taken as long as it is open, on the whole machine, and freed by the kernel whatever
    /// becomes of this process.
    _claim: UnixDatagram,
}

impl LentUser {
    /// The number of the user, and of its group.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Takes a user that is free.
    ///
    /// # Errors
    /// `QuotaExceeded` where none is free; what the system says where sockets are short.
    pub(crate) fn take() -> io::Result<Self> {
        for id in RANGE {
            let name = SocketAddr::from_abstract_name(format!("smcp-plugin-user-{id}"))?;
            match UnixDatagram::bind_addr(&name) {
                Ok(claim) => return Ok(Self { id, _claim: claim }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!(
                "all users from {} to {} run plugins",
                RANGE.start(),
                RANGE.end()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_gets_a_user_that_is_lent() {
        let first = LentUser::take().unwrap();
        let second = LentUser::take().unwrap();
        assert_ne!(first.id(), second.id());
        assert!(RANGE.contains(&first.id()) && RANGE.contains(&second.id()));
    }
}
