//! The first process of a pid namespace: it reaps whatever the plugin leaves behind, hands on the request to stop, and
//! takes the whole namespace with it when the plugin has ended.

use std::io::{PipeWriter, Write as _};
use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};

use super::control::{ExitStatus, line};
use super::sys::SIGNAL_RECORD_BYTES;
use super::tree::exit_status;

/// Sees `plugin` to its end, and tells `verdict` how it ended.
pub(super) fn run(plugin: Pid, signals: &OwnedFd, mut verdict: PipeWriter) {
    let status = loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, ended))) if pid == plugin => break exit_status(ended),
            Ok(Some(_)) => {}
            Ok(None) => pass_on(plugin, signals),
            // No children: it has been reaped by nobody else, so this cannot be; end rather than wait for ever.
            Err(_) => break None,
        }
    };
    let status = status.unwrap_or(ExitStatus::Signal(Signal::KILL.as_raw()));
    if let Ok(line) = line(&status) {
        // Where the supervisor is gone nobody wants to know.
        verdict.write_all(&line).ok();
    }
}

/// Waits for a signal; SIGTERM is meant for the plugin's process group.
fn pass_on(plugin: Pid, signals: &OwnedFd) {
    let mut record = [0; SIGNAL_RECORD_BYTES];
    let read = rustix::io::read(signals, &mut record);
    let number = record.first_chunk().map(|&first| i32::from_ne_bytes(first));
    if read.is_ok() && number == Some(Signal::TERM.as_raw()) {
        kill_process_group(plugin, Signal::TERM).ok();
        // A stopped process would see the first signal only when somebody continues it.
        kill_process_group(plugin, Signal::CONT).ok();
    }
}
