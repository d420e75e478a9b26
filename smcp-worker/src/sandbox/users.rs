//! Users for plugins of a root worker: each sandbox is a user of its own, so that limits that the kernel counts by
//! user are its own, and the files and processes of others are not.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use sha2::{Digest as _, Sha256};

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

    /// Takes a user that is free; for the same `plugin` the same one, unless that is taken, as files that it is granted
    /// to write belong to it.
    ///
    /// # Errors
    /// `QuotaExceeded` where none is free; what the system says where sockets are short.
    pub(crate) fn take(plugin: &str) -> io::Result<Self> {
        let digest = Sha256::digest(plugin);
        let preferred = digest
            .first_chunk()
            .map_or(0, |&bytes| u32::from_le_bytes(bytes));
        let count = RANGE.end() - RANGE.start() + 1;
        for offset in 0..count {
            let id = RANGE.start() + (preferred % count + offset) % count;
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
    fn a_plugin_has_a_user_of_its_own_and_gets_the_same_one_again() {
        let name = format!("plugin of {}", std::process::id());
        let first = LentUser::take(&name).unwrap();
        let second = LentUser::take(&name).unwrap();
        assert_ne!(first.id(), second.id());
        assert!(RANGE.contains(&first.id()) && RANGE.contains(&second.id()));
        let id = first.id();
        drop(first);
        assert_eq!(LentUser::take(&name).unwrap().id(), id);
    }
}
