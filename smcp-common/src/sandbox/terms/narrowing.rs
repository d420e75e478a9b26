//! What is left of what a manifest asks for within what is granted.

use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::excess::{Excess, written};
use super::{FilesystemTerms, Mode, NetworkTerms, Terms};
use crate::sandbox::{Limits, Network, Profile};

/// The intersection of both; keys that `asked` leaves out are as granted.
pub(super) fn narrow(asked: &Terms, granted: &Profile) -> (Profile, Vec<Excess>) {
    let mut narrowing = Narrowing::default();
    let profile = Profile {
        read: narrowing.read(&asked.filesystem, granted),
        write: narrowing.list(
            "filesystem.write",
            asked.filesystem.write.as_deref(),
            (&granted.write, &granted.write),
            narrower_path,
        ),
        scratch_mb: narrowing.size(
            "filesystem.scratch_mb",
            asked.filesystem.scratch_mb,
            granted.scratch_mb,
        ),
        network: narrowing.network(&asked.network, &granted.network),
        limits: narrowing.limits(asked, &granted.limits),
        env: narrowing.list(
            "env.allow",
            asked.env.allow.as_deref(),
            (&granted.env, &granted.env),
            |asked, granted| narrower_name(asked, granted),
        ),
    };
    (profile, narrowing.excess)
}

/// Whether a path says the same wherever it is read: absolute, and without `..`.
pub fn is_plain(path: &Path) -> bool {
    let mut components = path.components();
    components.next() == Some(Component::RootDir)
        && components.all(|component| matches!(component, Component::Normal(_)))
}

#[derive(Default)]
struct Narrowing {
    excess: Vec<Excess>,
}

impl Narrowing {
    /// What may be written may be read, too, also by who has asked to write less.
    fn read(&mut self, asked: &FilesystemTerms, granted: &Profile) -> Vec<PathBuf> {
        let readable: Vec<_> = union(&granted.read, &granted.write);
        let taken = match (&asked.read, &asked.write) {
            (None, Some(_)) => &readable,
            (None, None) | (Some(_), _) => &granted.read,
        };
        self.list(
            "filesystem.read",
            asked.read.as_deref(),
            (taken, &readable),
            narrower_path,
        )
    }

    /// What lies in both lists, where `narrower` tells which of two entries lies within the other, if one does. A
    /// silent manifest takes the first list, another one is held to the second.
    fn list<T: Clone + PartialEq + Serialize>(
        &mut self,
        key: &'static str,
        asked: Option<&[T]>,
        (taken, granted): (&[T], &[T]),
        narrower: impl Fn(&T, &T) -> Option<T>,
    ) -> Vec<T> {
        let Some(asked) = asked else {
            return once(taken);
        };
        let (kept, beyond) = intersection(asked, granted, narrower);
        let line = format!("{key} = {}", written(union(taken, asked)));
        self.beyond(key, &beyond, granted, line);
        kept
    }

    fn beyond<T: Serialize>(
        &mut self,
        key: &'static str,
        beyond: &[T],
        granted: &[T],
        line: String,
    ) {
        if !beyond.is_empty() {
            self.excess.push(Excess {
                key,
                asked: written(beyond),
                granted: written(granted),
                line,
            });
        }
    }

    fn network(&mut self, asked: &NetworkTerms, granted: &Network) -> Network {
        let Some(asked) = asked.network() else {
            return granted.clone();
        };
        match (asked, granted) {
            (Network::None, _) => Network::None,
            (asked, Network::Full) => asked,
            (Network::Proxy(asked), Network::Proxy(granted)) => {
                let line = network_line(Network::Proxy(union(granted, &asked)));
                Network::Proxy(self.reaches(&asked, granted, line)).simplified()
            }
            (Network::LoopbackPorts(asked), Network::LoopbackPorts(granted)) => {
                let line = network_line(Network::LoopbackPorts(union(granted, &asked)));
                Network::LoopbackPorts(self.reaches(&asked, granted, line)).simplified()
            }
            (asked, granted) => {
                let left = if asked == Network::Full {
                    granted.clone()
                } else {
                    Network::None
                };
                self.excess.push(Excess {
                    key: "network.mode",
                    asked: written(mode(&asked)),
                    granted: written(mode(granted)),
                    line: network_line(asked),
                });
                left
            }
        }
    }

    fn reaches<T: Clone + PartialEq + Serialize>(
        &mut self,
        asked: &[T],
        granted: &[T],
        line: String,
    ) -> Vec<T> {
        let same = |asked: &T, granted: &T| (asked == granted).then(|| asked.clone());
        let (kept, beyond) = intersection(asked, granted, same);
        self.beyond("network.allow", &beyond, granted, line);
        kept
    }

    fn limits(&mut self, asked: &Terms, granted: &Limits) -> Limits {
        let asked = &asked.limits;
        Limits {
            memory_mb: self.limit("limits.memory_mb", asked.memory_mb, granted.memory_mb),
            processes: self.size("limits.processes", asked.processes, granted.processes),
            cpu_s: self.limit("limits.cpu_seconds", asked.cpu_seconds, granted.cpu_s),
            wall_s: self.limit("limits.wall_seconds", asked.wall_seconds, granted.wall_s),
            file_mb: self.size("limits.file_mb", asked.file_mb, granted.file_mb),
            open_files: self.size("limits.open_files", asked.open_files, granted.open_files),
            stdout_kb: self.size("limits.stdout_kb", asked.stdout_kb, granted.stdout_kb),
            stderr_kb: self.size("limits.stderr_kb", asked.stderr_kb, granted.stderr_kb),
        }
    }

    /// The smaller of both, where 0 is no limit.
    fn limit(&mut self, key: &'static str, asked: Option<u64>, granted: u64) -> u64 {
        let size = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        match asked {
            Some(asked) if size(asked) > size(granted) => {
                let shown = if asked == 0 {
                    "0 (no limit)".to_owned()
                } else {
                    asked.to_string()
                };
                self.exceeds(key, asked, shown, granted)
            }
            Some(asked) => asked,
            None => granted,
        }
    }

    /// The smaller of both.
    fn size(&mut self, key: &'static str, asked: Option<u64>, granted: u64) -> u64 {
        match asked {
            Some(asked) if asked > granted => self.exceeds(key, asked, asked.to_string(), granted),
            Some(asked) => asked,
            None => granted,
        }
    }

    fn exceeds(&mut self, key: &'static str, asked: u64, shown: String, granted: u64) -> u64 {
        self.excess.push(Excess {
            key,
            asked: shown,
            granted: granted.to_string(),
            line: format!("{key} = {asked}"),
        });
        granted
    }
}

/// What lies in both lists, and the entries of `asked` that do not wholly.
fn intersection<T: Clone + PartialEq>(
    asked: &[T],
    granted: &[T],
    narrower: impl Fn(&T, &T) -> Option<T>,
) -> (Vec<T>, Vec<T>) {
    let (mut kept, mut beyond) = (Vec::new(), Vec::new());
    for entry in asked {
        let parts: Vec<T> = granted
            .iter()
            .filter_map(|granted| narrower(entry, granted))
            .collect();
        if parts.contains(entry) {
            kept.push(entry.clone());
        } else {
            beyond.push(entry.clone());
            kept.extend(parts);
        }
    }
    (once(&kept), once(&beyond))
}

/// The entries of a list without repetition.
pub(super) fn once<T: Clone + PartialEq>(list: &[T]) -> Vec<T> {
    union(list, &[])
}

/// What is in either list, once.
pub(super) fn union<T: Clone + PartialEq>(a: &[T], b: &[T]) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for entry in a.iter().chain(b) {
        if !all.contains(entry) {
            all.push(entry.clone());
        }
    }
    all
}

fn narrower_path(asked: &PathBuf, granted: &PathBuf) -> Option<PathBuf> {
    if !is_plain(asked) || !is_plain(granted) {
        None
    } else if asked.starts_with(granted) {
        Some(asked.clone())
    } else {
        granted.starts_with(asked).then(|| granted.clone())
    }
}

fn narrower_name(asked: &str, granted: &str) -> Option<String> {
    let within = |name: &str, pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    };
    if within(asked, granted) {
        Some(asked.to_owned())
    } else {
        within(granted, asked).then(|| granted.to_owned())
    }
}

const fn mode(network: &Network) -> Mode {
    match network {
        Network::None => Mode::None,
        Network::LoopbackPorts(_) => Mode::LoopbackPorts,
        Network::Proxy(_) => Mode::Proxy,
        Network::Full => Mode::Full,
    }
}

fn network_line(network: Network) -> String {
    let mode = written(mode(&network));
    match network {
        Network::None | Network::Full => format!("network.mode = {mode}"),
        Network::LoopbackPorts(_) | Network::Proxy(_) => {
            let allow = written(NetworkTerms::from(network).allow.unwrap_or_default());
            format!("network = {{ mode = {mode}, allow = {allow} }}")
        }
    }
}
