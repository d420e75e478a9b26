//! What this machine has to confine plugins with, found by confining one: a sandbox is put on as for a real plugin,
//! and probes within it try what must not be possible.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use smcp_common::sandbox::Profile;
use smcp_common::secret::Redactor;

use super::cgroups::Cgroups;
use super::placing::policy;
use super::probes::{Bait, Probed};
use super::sys;
use super::users::LentUser;
use crate::doctor::{Facts, Lack, Namespaces, Platform, User};
use crate::plugin::process::{Exit, Invocation, Limits, Mechanism, RefusalKind, capture};

/// How long putting on a sandbox may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// Each try finds out one thing that is missing, of which there are as many as mechanisms.
const MAX_TRIES: usize = 8;

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) facts: Facts,
    /// What came of the probes within the best sandbox that could be put on.
    pub(crate) probed: Vec<Probed>,
}

/// Finds out what there is. `base` is a directory for this alone; `namespaces` says whether they may be used.
///
/// # Errors
/// When not even the means to find out are there: files, sockets, processes.
pub(crate) async fn find(
    supervisor: &Path,
    base: &Path,
    namespaces: bool,
    cgroups: &Cgroups,
) -> io::Result<Found> {
    let trap = Trap::set(base)?;
    let mut facts = hopes(namespaces, cgroups);
    for _ in 0..MAX_TRIES {
        let user = match facts.user {
            User::Pool => Some(LentUser::take("")?),
            User::Own | User::Root(_) => None,
        };
        let id = user.as_ref().map(LentUser::id);
        let group = match &facts.cgroup {
            Ok(_) => cgroups.create(&Profile::default())?,
            Err(_) => None,
        };
        let mut policy = policy(&facts, &Profile::default(), id, base);
        policy.cgroup = group.as_ref().map(|group| group.path().to_owned());
        let invocation = Invocation {
            supervisor: supervisor.to_owned(),
            program: PathBuf::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            policy: Some(policy),
            files: Vec::new(),
            redactor: Redactor::default(),
            door: None,
            bait: Some(trap.bait.clone()),
        };
        let limits = Limits {
            timeout: Some(LIMIT),
            ..Limits::default()
        };
        let (ended, printed) = capture(&invocation, &limits)
            .await
            .map_err(io::Error::other)?;
        match ended.exit {
            Exit::Code(0) => {
                let probed = serde_json::from_slice(&printed)?;
                return Ok(Found { facts, probed });
            }
            Exit::Refused {
                kind: RefusalKind::Sandbox,
                mechanism: Some(mechanism),
                reason,
            } => give_up(&mut facts, mechanism, reason)?,
            Exit::Refused { reason, .. } => return Err(io::Error::other(reason)),
            other @ (Exit::Code(_) | Exit::Signal(_) | Exit::TimedOut | Exit::Stopped(_)) => {
                return Err(io::Error::other(format!("the probes ended with {other:?}")));
            }
        }
    }
    Err(io::Error::other("one mechanism after another fails"))
}

/// What one would hope for, but for what is known not to be there.
fn hopes(namespaces: bool, cgroups: &Cgroups) -> Facts {
    let is_root = geteuid().is_root();
    let namespaces = if !namespaces {
        Err(Lack::with_fix(
            "sandbox.namespaces is \"off\"",
            "set sandbox.namespaces = \"auto\" in smcp.toml",
        ))
    } else if is_root {
        Ok(Namespaces::OfRoot)
    } else {
        Ok(Namespaces::OfUser)
    };
    let landlock = sys::landlock_abi()
        .map(i32::unsigned_abs)
        .map_err(|error| Lack::new(format!("the kernel has none: {error}")));
    Facts {
        user: if is_root { User::Pool } else { User::Own },
        namespaces,
        landlock,
        seccomp: Ok(()),
        cgroup: cgroups.fact(),
        platform: Platform::here(),
    }
}

/// Does without `mechanism` from now on.
fn give_up(facts: &mut Facts, mechanism: Mechanism, why: String) -> io::Result<()> {
    let lack = Lack::new(why);
    match mechanism {
        Mechanism::Namespaces => facts.namespaces = Err(lack),
        Mechanism::User => facts.user = User::Root(lack),
        Mechanism::Landlock => facts.landlock = Err(lack),
        Mechanism::Seccomp => facts.seccomp = Err(lack),
        Mechanism::Cgroup => facts.cgroup = Err(lack),
        // Everybody may lower limits and give up privileges.
        Mechanism::Privileges | Mechanism::Limits => return Err(io::Error::other(lack.why)),
    }
    Ok(())
}

/// What the probes are after.
#[derive(Debug)]
struct Trap {
    bait: Bait,
    _directory: tempfile::TempDir,
    _listeners: (TcpListener, UnixListener, UnixListener),
}

impl Trap {
    fn set(base: &Path) -> io::Result<Self> {
        let directory = tempfile::tempdir_in(base)?;
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        };
        open(directory.path(), 0o777)?;
        let file = directory.path().join("bait");
        std::fs::write(&file, "bait")?;
        open(&file, 0o666)?;
        let socket = directory.path().join("socket");
        // By its directory's descriptor, as the path of a socket may be a hundred bytes long and no longer.
        let held = std::fs::File::open(directory.path())?;
        let by_path = UnixListener::bind(format!("/proc/self/fd/{}/socket", held.as_raw_fd()))?;
        open(&socket, 0o777)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let name = format!("smcp-bait-{}", uuid::Uuid::new_v4().simple());
        let by_name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let bait = Bait {
            file,
            port: port.local_addr()?.port(),
            socket,
            name,
            pid: i32::try_from(std::process::id()).map_err(io::Error::other)?,
        };
        Ok(Self {
            bait,
            _directory: directory,
            _listeners: (port, by_path, by_name),
        })
    }
}
