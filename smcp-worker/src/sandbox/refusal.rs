//! Why a program did not start, for a machine and for a person.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::control::{Mechanism, RefusalKind, RunOrder};

/// Why a plugin does not run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) kind: RefusalKind,
    /// The mechanism that failed, where one did.
    pub(super) mechanism: Option<Mechanism>,
    pub(super) reason: String,
}

impl Refusal {
    /// The program of `order` could not be started.
    pub(super) fn of_start(order: &RunOrder, error: &io::Error) -> Self {
        let program = Path::new(&order.program);
        let kind = kind(error);
        let user = order.policy.as_ref().and_then(|policy| policy.user);
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
            RefusalKind::NotPermitted => match user {
                Some(user) => format!(
                    "{}: {error}. Plugins run as user {user}, for whom it, its interpreter and the directories above \
                     them must be open",
                    shown(&order.program)
                ),
                None => format!("{}: {error}", shown(&order.program)),
            },
            RefusalKind::TooLarge
            | RefusalKind::Temporary
            | RefusalKind::Sandbox
            | RefusalKind::Other => format!("{}: {error}", shown(&order.program)),
        };
        Self {
            kind,
            mechanism: None,
            reason,
        }
    }
}

fn kind(error: &io::Error) -> RefusalKind {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) => RefusalKind::NotFound,
        Some(Errno::ACCESS | Errno::PERM) => RefusalKind::NotPermitted,
        Some(Errno::NOEXEC) => RefusalKind::NotExecutable,
        Some(Errno::TOOBIG) => RefusalKind::TooLarge,
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::TXTBSY) => {
            RefusalKind::Temporary
        }
        Some(_) | None => RefusalKind::Other,
    }
}

fn shown(path: &OsStr) -> std::path::Display<'_> {
    Path::new(path).display()
}
