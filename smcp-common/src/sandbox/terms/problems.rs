//! What is wrong with terms that are of the right shape.

use std::path::PathBuf;

use super::excess::written;
use super::narrowing::is_plain;
use super::{Mode, NetworkTerms, Reach, Terms};

/// No list is longer: every entry of one is compared with every entry of another.
const MAX_ENTRIES: usize = 256;
/// No limit is above this, so that a number of any unit can be multiplied.
const MOST: u64 = 1_000_000_000;

impl Terms {
    /// What is wrong with them: sentences that begin with the key, such as `network.allow[1] is 5432, but …`.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        paths(
            "filesystem.read",
            self.filesystem.read.as_deref(),
            &mut problems,
        );
        paths(
            "filesystem.write",
            self.filesystem.write.as_deref(),
            &mut problems,
        );
        self.network.problems(&mut problems);
        self.numbers(&mut problems);
        self.lengths(&mut problems);
        for (i, name) in self.env.allow.iter().flatten().enumerate() {
            if !is_pattern(name) {
                problems.push(format!(
                    "env.allow[{i}] is {}, but must be the name of a variable, with a * at its end at most",
                    written(name)
                ));
            }
        }
        problems
    }

    fn lengths(&self, problems: &mut Vec<String>) {
        let lengths = [
            (
                "filesystem.read",
                self.filesystem.read.as_ref().map(Vec::len),
            ),
            (
                "filesystem.write",
                self.filesystem.write.as_ref().map(Vec::len),
            ),
            ("network.allow", self.network.allow.as_ref().map(Vec::len)),
            ("env.allow", self.env.allow.as_ref().map(Vec::len)),
        ];
        for (key, length) in lengths {
            if let Some(length) = length
                && length > MAX_ENTRIES
            {
                problems.push(format!(
                    "{key} has {length} entries, but may have at most {MAX_ENTRIES}"
                ));
            }
        }
    }

    fn numbers(&self, problems: &mut Vec<String>) {
        let limits = &self.limits;
        let numbers = [
            ("filesystem.scratch_mb", self.filesystem.scratch_mb, 1),
            ("limits.memory_mb", limits.memory_mb, 0),
            ("limits.processes", limits.processes, 1),
            ("limits.cpu_seconds", limits.cpu_seconds, 0),
            ("limits.wall_seconds", limits.wall_seconds, 0),
            ("limits.file_mb", limits.file_mb, 1),
            ("limits.open_files", limits.open_files, 1),
            ("limits.stdout_kb", limits.stdout_kb, 1),
            ("limits.stderr_kb", limits.stderr_kb, 1),
        ];
        for (key, number, least) in numbers {
            if let Some(number) = number
                && !(least..=MOST).contains(&number)
            {
                problems.push(format!(
                    "{key} is {number}, but must be between {least} and {MOST}"
                ));
            }
        }
    }
}

impl NetworkTerms {
    fn problems(&self, problems: &mut Vec<String>) {
        match (self.mode, self.allow.as_deref()) {
            (None, None) | (Some(Mode::None | Mode::Full), None | Some([])) => {}
            (None, Some(_)) => problems.push(
                "network.allow needs network.mode beside it, which says what it lists: \"proxy\" or \"loopback-ports\""
                    .to_owned(),
            ),
            (Some(mode @ (Mode::None | Mode::Full)), Some(_)) => problems.push(format!(
                "network.allow must be empty where network.mode is \"{}\"",
                mode.as_str()
            )),
            (Some(mode @ (Mode::Proxy | Mode::LoopbackPorts)), None) => problems.push(format!(
                "network.allow is missing: where network.mode is \"{}\", it lists {}",
                mode.as_str(),
                entry(mode, "destinations such as", "ports such as")
            )),
            (Some(mode @ (Mode::Proxy | Mode::LoopbackPorts)), Some(allow)) => {
                for (i, reach) in allow.iter().enumerate() {
                    if !fits(mode, reach) {
                        problems.push(format!(
                            "network.allow[{i}] is {}, but must be {} where network.mode is \"{}\"",
                            written(reach),
                            entry(mode, "a destination such as", "a port from 1 to 65535 such as"),
                            mode.as_str()
                        ));
                    }
                }
            }
        }
    }
}

/// What a list of that mode has, with an example.
fn entry(mode: Mode, destination: &str, port: &str) -> String {
    match mode {
        Mode::LoopbackPorts => format!("{port} 5432"),
        Mode::None | Mode::Proxy | Mode::Full => format!("{destination} \"api.example.com:443\""),
    }
}

const fn fits(mode: Mode, reach: &Reach) -> bool {
    match reach {
        Reach::Port(port) => matches!(mode, Mode::LoopbackPorts) && *port > 0,
        Reach::Destination(_) => matches!(mode, Mode::Proxy),
    }
}

fn paths(key: &str, paths: Option<&[PathBuf]>, problems: &mut Vec<String>) {
    for (i, path) in paths.unwrap_or_default().iter().enumerate() {
        if !is_plain(path) {
            problems.push(format!(
                "{key}[{i}] is {}, but must be an absolute path without ..",
                written(path)
            ));
        }
    }
}

fn is_pattern(name: &str) -> bool {
    let stem = name.strip_suffix('*').unwrap_or(name);
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '=' | '*');
    !name.is_empty() && stem.chars().all(fits)
}
