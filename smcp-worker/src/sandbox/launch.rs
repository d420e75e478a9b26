//! From the supervisor to the plugin: a child is split off, gives up step by step what the policy does not leave it,
//! and becomes the plugin.
//!
//! The order matters: whatever a step needs must not have been given up before. Each step does all of what it is
//! named for, or the plugin is not started.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{
    Gid, Pid, Signal, Uid, WaitOptions, getegid, geteuid, set_parent_process_death_signal, setpgid,
    waitpid,
};
use rustix::system::sethostname;
use rustix::thread::UnshareFlags;

use super::control::{
    CONTROL_FD_VAR, EVENTS_FD_VAR, ExitStatus, Mechanism, Pipes, RefusalKind, RunOrder, line,
    send_descriptor,
};
use super::policy::{Policy, Reach};
use super::refusal::Refusal;
use super::{files, identity, init, limits, probes, root, sys, syscalls};

/// What a plugin takes for the name of its machine.
const HOST_NAME: &[u8] = b"sandbox";

/// What a supervisor is after it has split.
#[derive(Debug)]
pub(super) enum Side {
    /// Still the supervisor.
    Supervisor(Launched),
    /// The child, which has done what it was for, or failed to become the plugin.
    Child(ExitCode),
}

/// A plugin that runs.
#[derive(Debug)]
pub(super) struct Launched {
    /// The child: the plugin itself, or the first process of its pid namespace.
    pub(super) child: Pid,
    /// Tells how the plugin ended, where the child is not the plugin.
    verdict: Option<PipeReader>,
}

/// Starts the plugin of `order`, and answers once it runs or is known not to.
///
/// # Errors
/// [`Refusal`], which the child may have written.
pub(super) fn launch(order: &RunOrder, pipes: Pipes<OwnedFd>) -> Result<Side, Refusal> {
    let (mut refused, refuse) = io::pipe().map_err(busy)?;
    let (verdict, judge) = io::pipe().map_err(busy)?;
    let (user, group) = (geteuid(), getegid());
    let flags = flags(order.policy.as_ref());
    let split = sys::fork_into(flags).map_err(|error| {
        if flags.is_empty() {
            busy(error)
        } else {
            unavailable(Mechanism::Namespaces, "make namespaces", &error)
        }
    })?;
    if let Some(child) = split {
        drop((refuse, judge, pipes));
        let mut refusal = Vec::new();
        // Its end comes with the start of the program, or with that of the child.
        refused.read_to_end(&mut refusal).map_err(busy)?;
        if refusal.is_empty() {
            let verdict = flags.contains(UnshareFlags::NEWPID).then_some(verdict);
            return Ok(Side::Supervisor(Launched { child, verdict }));
        }
        waitpid(Some(child), WaitOptions::empty()).ok();
        let unreadable = |_| other("it failed before it could say why");
        return Err(serde_json::from_slice(&refusal).unwrap_or_else(unreadable));
    }
    drop((refused, verdict));
    let mut refuse = Some(refuse);
    let became = match &order.policy {
        Some(policy) if flags.contains(UnshareFlags::NEWPID) => {
            let first = First {
                order,
                policy,
                user,
                group,
                refuse: &mut refuse,
            };
            first.run(pipes, judge)
        }
        _ => {
            drop(judge);
            become_plugin(order, pipes)
        }
    };
    let Err(refusal) = became else {
        return Ok(Side::Child(ExitCode::SUCCESS));
    };
    if let (Some(mut refuse), Ok(line)) = (refuse, line(&refusal)) {
        // Where the supervisor is gone nobody wants to know.
        refuse.write_all(&line).ok();
    }
    Ok(Side::Child(ExitCode::FAILURE))
}

impl Launched {
    /// How the plugin ended, where its supervisor cannot see that itself. To be asked when the child has ended.
    pub(super) fn verdict(self) -> Option<ExitStatus> {
        let mut line = Vec::new();
        self.verdict?.read_to_end(&mut line).ok()?;
        serde_json::from_slice(&line).ok()
    }
}

fn flags(policy: Option<&Policy>) -> UnshareFlags {
    let Some(policy) = policy else {
        return UnshareFlags::empty();
    };
    let Some(namespaces) = &policy.namespaces else {
        return UnshareFlags::empty();
    };
    let mut flags =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    flags.set(UnshareFlags::NEWNET, policy.has_own_network());
    flags.set(UnshareFlags::NEWUSER, namespaces.user);
    flags
}

/// The first process in new namespaces.
struct First<'a> {
    order: &'a RunOrder,
    policy: &'a Policy,
    /// Who it is outside of them.
    user: Uid,
    group: Gid,
    refuse: &'a mut Option<PipeWriter>,
}

impl First<'_> {
    /// Furnishes the namespaces, starts the plugin in them, and stays until it has ended.
    fn run(self, mut pipes: Pipes<OwnedFd>, verdict: PipeWriter) -> Result<(), Refusal> {
        let failed =
            |what| move |error: io::Error| unavailable(Mechanism::Namespaces, what, &error);
        let Some(namespaces) = &self.policy.namespaces else {
            return Err(other("no namespaces were asked for"));
        };
        die_with_parent()?;
        join_cgroup(self.policy)?;
        setpgid(None, None).map_err(|error| failed("lead a process group")(error.into()))?;
        if namespaces.user {
            self.map_user().map_err(failed("map the user"))?;
        }
        if self.policy.has_own_network() {
            sys::raise_loopback().map_err(failed("raise the loopback interface"))?;
        }
        if let (Reach::Proxy(port), Some(socket)) = (&self.policy.network, pipes.listener.take()) {
            hand_over_listener(*port, &socket.into()).map_err(failed("listen for the proxy"))?;
        }
        let user = self.policy.user.unwrap_or(self.user.as_raw());
        root::enter(self.policy, namespaces, user).map_err(|error| Refusal {
            kind: RefusalKind::Sandbox,
            mechanism: Some(Mechanism::Namespaces),
            reason: error.to_string(),
        })?;
        sethostname(HOST_NAME).map_err(|error| failed("set the host name")(error.into()))?;
        let signals = sys::signal_descriptor().map_err(failed("wait for signals"))?;
        let Some(plugin) = sys::fork_into(UnshareFlags::empty()).map_err(busy)? else {
            // They are blocked for the first process only; what it starts would inherit that.
            sys::unblock_signals().map_err(busy)?;
            return become_plugin(self.order, pipes);
        };
        // Their ends are the plugin's.
        drop((pipes, self.refuse.take()));
        init::run(plugin, &signals, verdict);
        Ok(())
    }

    /// In a user namespace that has this one user, who is nobody special.
    fn map_user(&self) -> io::Result<()> {
        let own = |id: u32| format!("{id} {id} 1");
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", own(self.user.as_raw()))?;
        fs::write("/proc/self/gid_map", own(self.group.as_raw()))
    }
}

/// Gives up what the policy does not leave to the plugin, and becomes it. Answers only where that fails.
#[expect(clippy::disallowed_methods, reason = "this is what starts plugins")]
fn become_plugin(order: &RunOrder, pipes: Pipes<OwnedFd>) -> Result<(), Refusal> {
    let null = OpenOptions::new()
        .read(true)
        .open("/dev/null")
        .map_err(busy)?;
    // A group of its own, for a stop to reach what it starts as well.
    setpgid(None, None).map_err(busy)?;
    die_with_parent()?;
    if let Some(policy) = &order.policy {
        confine(policy)?;
    }
    if let Some(bait) = &order.bait {
        // Nobody who does not read it will miss it.
        probes::run(bait, pipes.stdout).ok();
        return Ok(());
    }
    for (path, text) in &order.files {
        write_secret(Path::new(path), text).map_err(|error| {
            other(&format!(
                "a secret cannot be written to its scratch directory: {error}"
            ))
        })?;
    }
    let control = pipes.control.as_ref().map(|fd| fd.as_raw_fd().to_string());
    let inherited = [Some(&pipes.events), pipes.control.as_ref()];
    for fd in inherited.into_iter().flatten() {
        fcntl_setfd(fd, FdFlags::empty()).map_err(busy)?;
    }
    let mut command = Command::new(&order.program);
    command
        .args(&order.args)
        .env_clear()
        .envs(order.env.iter().map(|(name, value)| (name, value)))
        .env(EVENTS_FD_VAR, pipes.events.as_raw_fd().to_string())
        .envs(control.map(|number| (CONTROL_FD_VAR, number)))
        .current_dir(&order.cwd)
        .stdin(null)
        .stdout(pipes.stdout)
        .stderr(pipes.stderr);
    let error = sys::become_program(&mut command);
    Err(Refusal::of_start(order, &error))
}

fn confine(policy: &Policy) -> Result<(), Refusal> {
    if policy.namespaces.is_none() {
        join_cgroup(policy)?;
    }
    identity::bound_privileges()
        .map_err(|error| unavailable(Mechanism::Privileges, "give up privileges", &error))?;
    if let Some(user) = policy.user {
        identity::become_user(user)
            .map_err(|error| unavailable(Mechanism::User, "become another user", &error))?;
        // A change of user forgets it.
        die_with_parent()?;
    }
    identity::drop_privileges()
        .map_err(|error| unavailable(Mechanism::Privileges, "give up privileges", &error))?;
    if let Some(version) = policy.landlock {
        files::apply(policy, version)
            .map_err(|error| unavailable(Mechanism::Landlock, "restrict files", &error))?;
    }
    if policy.seccomp {
        syscalls::apply(policy)
            .map_err(|error| unavailable(Mechanism::Seccomp, "filter system calls", &error))?;
    }
    // Last, as what came before may need more than is left to the plugin.
    limits::apply(&policy.limits)
        .map_err(|error| unavailable(Mechanism::Limits, "set limits", &error))
}

/// By the plugin's own user, and for it alone.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// Whatever becomes of the supervisor, nothing of the plugin stays.
fn die_with_parent() -> Result<(), Refusal> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(busy)
}

fn join_cgroup(policy: &Policy) -> Result<(), Refusal> {
    let Some(cgroup) = &policy.cgroup else {
        return Ok(());
    };
    // 0 is whoever writes it.
    fs::write(cgroup.join("cgroup.procs"), "0")
        .map_err(|error| unavailable(Mechanism::Cgroup, "join the cgroup", &error))
}

fn hand_over_listener(port: u16, socket: &UnixStream) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    send_descriptor(socket, listener.as_fd())
}

fn unavailable(mechanism: Mechanism, what: &str, error: &dyn Display) -> Refusal {
    Refusal {
        kind: RefusalKind::Sandbox,
        mechanism: Some(mechanism),
        reason: format!("cannot {what}: {error}"),
    }
}

/// Processes or descriptors are short.
fn busy(error: impl Into<io::Error>) -> Refusal {
    let error = error.into();
    Refusal {
        kind: RefusalKind::Temporary,
        mechanism: None,
        reason: format!("no process can be started: {error}"),
    }
}

fn other(reason: &str) -> Refusal {
    Refusal {
        kind: RefusalKind::Other,
        mechanism: None,
        reason: reason.to_owned(),
    }
}
