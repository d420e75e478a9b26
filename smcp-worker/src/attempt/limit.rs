//! Which limit of its sandbox ended a plugin, where one did.
//!
//! The kernel tells of some limits; of others only the plugin's last words do, since to a program a limit is an
//! ordinary error.

use std::time::Duration;

use smcp_common::job::{Failure, code};

use crate::plugin::process::{Ended, Exit, Limits};

/// So many of the last lines of standard error count as last words.
const LAST_LINES: usize = 10;
/// As much of such a line is quoted.
const LINE_CHARS: usize = 300;

const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// What programs say, in lower case, that cannot get memory: Python, C, C++, and what is written in Rust or JavaScript.
const NO_MEMORY: [&str; 5] = [
    "memoryerror",
    "cannot allocate memory",
    "out of memory",
    "bad_alloc",
    "memory allocation of",
];

/// The limit that a failed run ran into; `None` where none is known.
pub(super) fn hit(ended: &Ended, limits: &Limits) -> Option<Failure> {
    let stderr = String::from_utf8_lossy(&ended.stderr_tail);
    let mut last: Vec<_> = stderr
        .lines()
        .rev()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(LAST_LINES)
        .collect();
    last.reverse();
    if is_out_of_time(ended, limits) {
        return Some(Failure::new(code::CPU_LIMIT, cpu(limits)));
    }
    let said = last.iter().rfind(|line| has_no_memory(line)).copied();
    if ended.hit.memory || (limits.memory_mb.is_some() && said.is_some()) {
        return Some(Failure::new(code::MEMORY_LIMIT, memory(limits, said)));
    }
    let said = process_error(&last);
    if ended.hit.processes || (limits.processes.is_some() && said.is_some()) {
        return Some(Failure::new(code::PROCESS_LIMIT, processes(limits, said)));
    }
    None
}

/// At its soft limit a process gets SIGXCPU; one that ignores it is killed at the hard limit.
fn is_out_of_time(ended: &Ended, limits: &Limits) -> bool {
    let is_used_up = || {
        let limit = limits.cpu_s.map(Duration::from_secs);
        limit.is_some_and(|limit| ended.cpu.is_some_and(|used| used >= limit))
    };
    match &ended.exit {
        Exit::Signal(SIGXCPU) => true,
        Exit::Signal(SIGKILL) => is_used_up(),
        Exit::Signal(_)
        | Exit::Code(_)
        | Exit::TimedOut
        | Exit::Stopped(_)
        | Exit::Refused { .. } => false,
    }
}

fn has_no_memory(line: &str) -> bool {
    let line = line.to_lowercase();
    NO_MEMORY.iter().any(|words| line.contains(words))
}

/// The line that says that no process or thread could be started. A missing resource can be anything: what was tried
/// must stand nearby, as it does in a traceback.
fn process_error<'l>(last: &[&'l str]) -> Option<&'l str> {
    let says = |line: &&str, words: &str| line.to_lowercase().contains(words);
    let found = last.iter().rfind(|line| {
        says(line, "can't start new thread") || says(line, "resource temporarily unavailable")
    })?;
    let is_told = says(found, "can't start new thread")
        || last.iter().any(|line| {
            ["fork", "spawn", "thread"]
                .iter()
                .any(|words| says(line, words))
        });
    is_told.then_some(found)
}

fn cpu(limits: &Limits) -> String {
    match limits.cpu_s {
        Some(1) => "Plugin used up its 1 second of processor time.".to_owned(),
        Some(seconds) => format!("Plugin used up its {seconds} seconds of processor time."),
        None => "Plugin used up its processor time.".to_owned(),
    }
}

fn memory(limits: &Limits, said: Option<&str>) -> String {
    let message = match limits.memory_mb {
        Some(mb) => format!("Plugin needed more than its {mb} MB of memory"),
        None => "Plugin needed more memory than it may use".to_owned(),
    };
    with_last_words(message, said)
}

fn processes(limits: &Limits, said: Option<&str>) -> String {
    let message = match limits.processes {
        Some(1) => "Plugin needed more than its 1 process or thread".to_owned(),
        Some(count) => format!("Plugin needed more than its {count} processes and threads"),
        None => "Plugin needed more processes and threads than it may have".to_owned(),
    };
    with_last_words(message, said)
}

fn with_last_words(message: String, said: Option<&str>) -> String {
    match said {
        Some(line) => {
            let line: String = line.chars().take(LINE_CHARS).collect();
            format!("{message}: {line}")
        }
        None => message + ".",
    }
}

#[cfg(test)]
mod tests {
    use smcp_common::sandbox::Start;

    use super::*;
    use crate::plugin::process::{Hits, StopReason};

    fn ended(exit: Exit, stderr: &str) -> Ended {
        Ended {
            stderr_tail: stderr.into(),
            ..Ended::silent(exit, Start::Cold, Duration::from_secs(1))
        }
    }

    fn limits() -> Limits {
        Limits {
            memory_mb: Some(512),
            processes: Some(32),
            cpu_s: Some(60),
            ..Limits::default()
        }
    }

    fn told(ended: &Ended, limits: &Limits) -> Option<String> {
        hit(ended, limits).map(|failure| format!("{}: {}", failure.code, failure.message))
    }

    #[test]
    fn last_words_tell_of_a_limit() {
        let node = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n 1: 0xb0\n 2: 0xb1\n";
        let fork = "  File \"subprocess.py\", line 1, in _fork_exec\nBlockingIOError: [Errno 11] Resource temporarily unavailable\n";
        let memory = "memory_limit: Plugin needed more than its 512 MB of memory: ";
        let processes = "process_limit: Plugin needed more than its 32 processes and threads: ";
        let rows = [
            (
                1,
                "Traceback:\n  x\nMemoryError\n",
                Some(format!("{memory}MemoryError")),
            ),
            (
                1,
                "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB\n",
                Some(format!(
                    "{memory}numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7 GiB"
                )),
            ),
            (
                134,
                node,
                Some(format!("{memory}{}", node.lines().next().unwrap())),
            ),
            (
                1,
                "RuntimeError: can't start new thread\n",
                Some(format!("{processes}RuntimeError: can't start new thread")),
            ),
            (
                1,
                fork,
                Some(format!(
                    "{processes}BlockingIOError: [Errno 11] Resource temporarily unavailable"
                )),
            ),
            (
                2,
                "sh: 1: Cannot fork: Resource temporarily unavailable\n",
                Some(format!(
                    "{processes}sh: 1: Cannot fork: Resource temporarily unavailable"
                )),
            ),
            // A socket that would block says the same.
            (
                1,
                "  sock.recv()\nBlockingIOError: [Errno 11] Resource temporarily unavailable\n",
                None,
            ),
            (1, "ValueError: no such app\n", None),
            (1, "", None),
        ];
        for (exit, stderr, expected) in rows {
            assert_eq!(
                told(&ended(Exit::Code(exit), stderr), &limits()),
                expected,
                "{stderr}"
            );
        }
        let long_ago = format!("MemoryError\n{}", "retrying\n".repeat(LAST_LINES));
        assert_eq!(told(&ended(Exit::Code(1), &long_ago), &limits()), None);
        // Without a limit of ours the machine is short of it.
        let unlimited = Limits::default();
        assert_eq!(
            told(&ended(Exit::Code(1), "MemoryError\n"), &unlimited),
            None
        );
        assert_eq!(told(&ended(Exit::Code(2), fork), &unlimited), None);
    }

    #[test]
    fn the_kernel_tells_of_a_limit() {
        let hits = |memory, processes| Ended {
            hit: Hits { memory, processes },
            ..ended(Exit::Signal(9), "half a sentence\n")
        };
        let memory = "memory_limit: Plugin needed more than its 512 MB of memory.";
        let processes = "process_limit: Plugin needed more than its 32 processes and threads.";
        let rows = [
            (hits(true, false), Some(memory)),
            (hits(true, true), Some(memory)),
            (hits(false, true), Some(processes)),
            (hits(false, false), None),
        ];
        for (ended, expected) in rows {
            assert_eq!(
                told(&ended, &limits()).as_deref(),
                expected,
                "{:?}",
                ended.hit
            );
        }
        assert_eq!(
            told(&hits(true, false), &Limits::default()).unwrap(),
            "memory_limit: Plugin needed more memory than it may use."
        );
    }

    #[test]
    fn processor_time_is_used_up_by_signal() {
        let used = |signal, seconds| Ended {
            cpu: Some(Duration::from_secs(seconds)),
            ..ended(Exit::Signal(signal), "")
        };
        let spent = "cpu_limit: Plugin used up its 60 seconds of processor time.";
        let rows = [
            (ended(Exit::Signal(24), ""), Some(spent)),
            (used(9, 61), Some(spent)),
            // Somebody else has killed it.
            (used(9, 59), None),
            (ended(Exit::Signal(9), ""), None),
            (used(11, 61), None),
            (ended(Exit::Stopped(StopReason::Cancelled), ""), None),
        ];
        for (ended, expected) in rows {
            assert_eq!(
                told(&ended, &limits()).as_deref(),
                expected,
                "{:?}",
                ended.exit
            );
        }
        let one = Limits {
            cpu_s: Some(1),
            ..limits()
        };
        assert_eq!(
            told(&used(24, 1), &one).unwrap(),
            "cpu_limit: Plugin used up its 1 second of processor time."
        );
    }
}
