//! Starting a role as a process of its own. The only file of this package that starts processes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use smcp_common::config::Flags;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Signals of one kind that arrive together are one; so far apart they are two.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(200);
/// What a child may take to stop at once; its plugins have 5 s of it.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Api,
    Worker,
}

impl Role {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// The program that children run, and the flags that they are given.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    flags: Flags,
    manages: bool,
}

impl Program {
    /// This very program.
    ///
    /// # Errors
    /// The system does not say where it is.
    pub(crate) fn this(flags: Flags) -> anyhow::Result<Self> {
        Ok(Self {
            path: std::env::current_exe().context("cannot tell where the program smcp is")?,
            flags,
            manages: false,
        })
    }

    /// The same, with workers of which there are as many as operators say.
    pub(super) fn with_managed_workers(mut self) -> Self {
        self.manages = true;
        self
    }

    /// Starts a role. The API listens on `port`, if one is given.
    ///
    /// # Errors
    /// What the system says.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the file that starts the roles"
    )]
    pub(super) fn start(&self, role: Role, port: Option<u16>) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.path);
        command
            .args(arguments(role, &self.flags, self.manages, port))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C reaches every process of the terminal's group. It is ours to pass on, once.
            .process_group(0);
        let cannot = || format!("cannot start {} {}", self.path.display(), role.as_str());
        let mut process = command.spawn().with_context(cannot)?;
        // Taken out, since waiting for a child closes what is left of its standard input.
        let lifeline = process.stdin.take();
        let announcement = process.stdout.take();
        Ok(Child {
            process,
            _lifeline: lifeline,
            announcement,
        })
    }
}

/// The command line of a role: our own flags, as far as they are its.
fn arguments(role: Role, flags: &Flags, manages: bool, port: Option<u16>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![role.as_str().into(), "--supervised".into()];
    let mut add = |name: &str, value: Option<OsString>| {
        if let Some(value) = value {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            arguments.push(argument);
        }
    };
    add("data-dir", flags.data_dir.clone().map(Into::into));
    add("database", flags.database.clone().map(Into::into));
    // The API makes jobs of calls, a worker of what is scheduled.
    add(
        "plugin-timeout",
        flags
            .plugin_timeout
            .map(|seconds| seconds.to_string().into()),
    );
    match role {
        Role::Api => {
            add("host", flags.host.clone().map(Into::into));
            add(
                "port",
                port.or(flags.port).map(|port| port.to_string().into()),
            );
            if flags.require_auth {
                arguments.push("--require-auth".into());
            }
        }
        Role::Worker => {
            add("plugins", flags.plugins.clone().map(Into::into));
            if manages {
                arguments.push("--managed".into());
            }
        }
    }
    arguments
}

/// A running role.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    /// It drains when this closes, which also our own death does.
    _lifeline: Option<ChildStdin>,
    announcement: Option<ChildStdout>,
}

impl Child {
    /// Its process id, for messages.
    pub(super) fn pid(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What the system says.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Waits until it tells where it listens; `None` where it never does.
    pub(super) async fn announced(&mut self) -> Option<SocketAddr> {
        let mut line = String::new();
        BufReader::new(self.announcement.take()?)
            .read_line(&mut line)
            .await
            .ok()?;
        line.trim().parse().ok()
    }

    /// Asks it to finish what it has begun, and waits; asks it to stop at once where `stop` says so.
    pub(super) async fn end(mut self, stop: &CancellationToken) {
        self.terminate();
        tokio::select! {
            _ = self.ended() => return,
            () = stop.cancelled() => {}
        }
        if timeout(BETWEEN_SIGNALS, self.ended()).await.is_ok() {
            return;
        }
        self.terminate();
        if timeout(STOP_LIMIT, self.ended()).await.is_err() {
            tracing::error!(pid = self.pid(), "killing a process that does not stop");
            // The only way to fail is that it is gone.
            drop(self.process.kill().await);
        }
    }

    fn terminate(&self) {
        let pid = self
            .process
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            // Not reaped yet, so that the id is still its own; it may have ended, which is what is asked.
            kill_process(pid, Signal::TERM).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn flags() -> Flags {
        Flags {
            host: Some("0.0.0.0".into()),
            port: Some(0),
            workers: Some(4),
            data_dir: Some("/a b/-c".into()),
            database: Some("sqlite:///d".into()),
            plugins: Some("/p:/q".into()),
            plugin_timeout: Some(-1.5),
            require_auth: true,
        }
    }

    fn parse(role: Role, flags: &Flags, port: Option<u16>) -> Command {
        let arguments = arguments(role, flags, true, port);
        Cli::try_parse_from([vec!["smcp".into()], arguments].concat())
            .unwrap()
            .command
    }

    #[test]
    fn a_child_understands_the_flags_that_are_meant_for_it() {
        let Command::Api(api) = parse(Role::Api, &flags(), None) else {
            panic!("another command")
        };
        assert!(api.supervision.supervised);
        let expected = Flags {
            workers: None,
            plugins: None,
            ..flags()
        };
        assert_eq!(format!("{:?}", Flags::from(&api)), format!("{expected:?}"));

        let Command::Worker(worker) = parse(Role::Worker, &flags(), None) else {
            panic!("another command")
        };
        assert!(worker.supervision.supervised && worker.managed);
        let Flags {
            data_dir,
            database,
            plugins,
            plugin_timeout,
            ..
        } = flags();
        let expected = Flags {
            data_dir,
            database,
            plugins,
            plugin_timeout,
            ..Flags::default()
        };
        assert_eq!(
            format!("{:?}", Flags::from(&worker)),
            format!("{expected:?}")
        );
    }

    #[test]
    fn a_restarted_api_gets_the_port_that_it_had() {
        let Command::Api(api) = parse(Role::Api, &flags(), Some(4711)) else {
            panic!("another command")
        };
        assert_eq!(api.listener.port, Some(4711));
    }
}
