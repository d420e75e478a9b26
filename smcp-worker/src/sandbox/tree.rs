//! A plugin's process tree: the plugin, its process group, and whatever it left behind.
//!
//! Where the system has subreapers (Linux), orphans of the tree become children of
//! this process, so that not even a daemon escapes. Elsewhere the process group is all
//! that can be reached.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::event::{PollFd, Timespec, poll};
use rustix::process::{
    Pid, Signal, Uid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpgid, getpgrp,
    kill_process, kill_process_group, wait, waitid, waitpid,
};

use super::control::ExitStatus;

/// How long killed processes may take to disappear. Only those in uninterruptible
/// sleep, or those that became another user's, take longer.
const KILL_LIMIT: Duration = Duration::from_secs(5);

const KILL_ROUND: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 1_000_000,
};

/// Makes orphans of the tree children of this process instead of init's.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// The tree of one plugin, which is not reaped before [`Tree::kill`]: until then its
/// number, and that of its group, cannot come to mean another process.
#[derive(Debug)]
pub(super) struct Tree {
    plugin: Pid,
}

/// What was left of a tree.
#[derive(Debug)]
pub(super) struct Killed {
    /// How the plugin itself ended; `None` when it is among the survivors.
    pub(super) status: Option<ExitStatus>,
    /// Processes that no signal could end.
    pub(super) survivors: usize,
}

impl Tree {
    /// The tree of the child `plugin`, which leads a process group.
    pub(super) fn new(plugin: Pid) -> Self {
        Self { plugin }
    }

    /// A descriptor that polls as readable once the plugin has ended, where the system
    /// has one.
    pub(super) fn exit_signal(&self) -> Option<OwnedFd> {
        #[cfg(target_os = "linux")]
        {
            rustix::process::pidfd_open(self.plugin, rustix::process::PidfdFlags::empty()).ok()
        }
        #[cfg(not(target_os = "linux"))]
        {
            None
        }
    }

    /// Whether the plugin itself has ended.
    pub(super) fn plugin_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.plugin), options), Ok(None))
    }

    /// Reaps orphans that have ended, so that a long run does not collect zombies.
    pub(super) fn reap_orphans(&self) {
        for orphan in children().into_iter().filter(|&pid| pid != self.plugin) {
            waitpid(Some(orphan), WaitOptions::NOHANG).ok();
        }
    }

    /// Asks the plugin's process group to end.
    pub(super) fn terminate(&self) {
        kill_process_group(self.plugin, Signal::TERM).ok();
        // A stopped process would see the first signal only when somebody continues it.
        kill_process_group(self.plugin, Signal::CONT).ok();
    }

    /// Kills the whole tree and reaps it.
    pub(super) fn kill(self) -> Killed {
        let give_up_at = Instant::now() + KILL_LIMIT;
        let own_group = getpgrp();
        let mut status = None;
        kill_process_group(self.plugin, Signal::KILL).ok();
        loop {
            // Children only: they cannot be mistaken, as nobody else can reap them. What
            // they leave behind is a child itself in the next round.
            let children = children();
            for &child in &children {
                if let Ok(group) = getpgid(Some(child))
                    && group != own_group
                {
                    kill_process_group(group, Signal::KILL).ok();
                }
                kill_process(child, Signal::KILL).ok();
            }
            loop {
                match wait(WaitOptions::NOHANG) {
                    Ok(Some((pid, ended))) if pid == self.plugin => status = exit_status(ended),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => {
                        return Killed {
                            status,
                            survivors: 0,
                        };
                    }
                }
            }
            if Instant::now() >= give_up_at {
                return Killed {
                    status,
                    survivors: children.len().max(1),
                };
            }
            poll(&mut [] as &mut [PollFd<'_>], Some(&KILL_ROUND)).ok();
        }
    }
}

/// Kills what a supervisor left behind that could not see to it itself: the processes of
/// its session, where `/proc` tells which those are.
///
/// `supervisor` must not have been reaped, or its number may mean another session.
pub(crate) fn kill_session(supervisor: Pid) {
    // Each round catches what was forked during the one before.
    for _ in 0..3 {
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = process
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(pid) = pid.and_then(Pid::from_raw)
                && session(pid) == Some(supervisor)
            {
                kill_process(pid, Signal::KILL).ok();
            }
        }
    }
}

/// The session of `pid`; `None` for a process that is gone or belongs to the kernel.
fn session(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, in parentheses and of any form: state, parent, group, session.
    let (_, fields) = stat.rsplit_once(") ")?;
    Pid::from_raw(fields.split(' ').nth(3)?.parse().ok()?)
}

/// How many processes and threads `user` has, as the kernel counts them for a limit.
pub(super) fn processes_of(user: Uid) -> u64 {
    let owner = |status: &str| -> Option<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let threads = |status: &str| -> Option<u64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Threads:"))?;
        line.trim().parse().ok()
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("status")).ok())
        .filter(|status| owner(status) == Some(user.as_raw()))
        .filter_map(|status| threads(&status))
        .sum()
}

/// The direct children of this process, ended ones included.
fn children() -> Vec<Pid> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            let pids = list
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok());
            pids.filter_map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}

/// How a process ended that was waited for.
pub(super) fn exit_status(ended: WaitStatus) -> Option<ExitStatus> {
    let code = ended.exit_status().map(ExitStatus::Code);
    code.or_else(|| ended.terminating_signal().map(ExitStatus::Signal))
}
