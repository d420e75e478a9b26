//! What is watched of the plugin directories, and which events there mean that a scan may find something else: those
//! of files that count for a plugin's digest, and of whatever leads to them.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use inotify::{EventMask, EventOwned, WatchDescriptor, WatchMask, Watches};

use super::catalogue::entry;
use super::digest::counts;

/// A tree of more directories than this is a mistake, such as a link to the root directory.
const MAX_DIRECTORIES: usize = 10_000;
/// Links that lead to links are followed so far, as the system does it, too.
const MAX_LINKS: usize = 40;

const ENTRIES: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO);
/// Never openings and readings: a plugin that runs must not wake anybody.
const CHANGES: WatchMask = ENTRIES
    .union(WatchMask::MODIFY)
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF);

/// The watched directories, and why each is watched.
#[derive(Debug, Default)]
pub(crate) struct Territory(HashMap<WatchDescriptor, Vec<Role>>);

/// Why a directory is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    /// For the entry of that name, which leads to a plugin or may make one.
    LeadsTo(OsString),
    /// For the plugins in it; `links` are its entries that are links.
    Plugins {
        path: PathBuf,
        links: HashSet<OsString>,
    },
    /// For the files of a plugin.
    Plugin,
}

/// Why not everything is watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwatched {
    /// The system allows no more watches.
    #[error(
        "this system allows no more watches of files (raise the sysctl fs.inotify.max_user_watches)"
    )]
    Limit,
    /// There are too many directories.
    #[error("they have more than {MAX_DIRECTORIES} directories")]
    TooMany,
    /// The system says otherwise.
    #[error("{path}: {message}")]
    Other {
        /// What cannot be watched.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

impl Territory {
    /// Watches what there is of `roots`, directories of plugins, and of `files`, which belong to plugins, and what leads to
    /// them, whether they exist or not. All paths are absolute.
    /// Whatever changes once this has begun makes an event or is seen by whoever looks after it has returned.
    pub(crate) fn survey(
        watches: Watches,
        roots: &[PathBuf],
        files: &[PathBuf],
    ) -> (Self, Option<Unwatched>) {
        let mut survey = Survey {
            watches,
            found: HashMap::new(),
            unwatched: None,
        };
        for root in roots {
            survey.root(root);
        }
        for file in files {
            survey.file(file);
        }
        (Self(survey.found), survey.unwatched)
    }

    /// Gives up the watches that `later` does not need any more.
    pub(crate) fn leave(self, watches: &mut Watches, later: &Self) {
        for watch in self.0.into_keys() {
            if !later.0.contains_key(&watch) {
                // Of a directory that is gone, the system has given up the watch itself.
                drop(watches.remove(watch));
            }
        }
    }

    /// Whether a scan may find something else after that event.
    pub(crate) fn concerns(&self, event: &EventOwned) -> bool {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return true;
        }
        let is_directory = event.mask.contains(EventMask::ISDIR);
        let roles = self.0.get(&event.wd).into_iter().flatten();
        let Some(name) = event.name.as_deref() else {
            let itself = EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::ATTRIB;
            let mut roles = roles.filter(|role| !matches!(role, Role::LeadsTo(_)));
            return event.mask.intersects(itself) && roles.next().is_some();
        };
        let mut roles = roles;
        roles.any(|role| role.concerns(name, is_directory))
    }
}

impl Role {
    fn concerns(&self, name: &OsStr, is_directory: bool) -> bool {
        match self {
            Self::LeadsTo(awaited) => name == awaited,
            Self::Plugins { path, links } => {
                // A file beside the plugins is none.
                let may_be_plugin =
                    is_directory || links.contains(name) || path.join(name).is_dir();
                may_be_plugin && !is_hidden(name)
            }
            Self::Plugin => counts(name, is_directory),
        }
    }
}

#[derive(Debug)]
struct Survey {
    watches: Watches,
    found: HashMap<WatchDescriptor, Vec<Role>>,
    unwatched: Option<Unwatched>,
}

impl Survey {
    /// A directory of plugins. Each directory is watched before it is read.
    fn root(&mut self, root: &Path) {
        for path in root.ancestors() {
            if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                self.watch(parent, ENTRIES, Role::LeadsTo(name.to_owned()));
            }
        }
        self.link(root);
        let Some(watch) = self.add(root, CHANGES) else {
            return;
        };
        let mut links = HashSet::new();
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if is_hidden(&name) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.link(&path);
                links.insert(name);
            }
            self.candidate(&path);
        }
        let path = root.to_owned();
        self.note(watch, Role::Plugins { path, links });
    }

    /// A file outside of the plugins' directories. Any part of its path may be a link: they are followed from the root on, as
    /// the system does it.
    fn file(&mut self, file: &Path) {
        let mut file = file.to_owned();
        for _ in 0..MAX_LINKS {
            let Some(next) = self.way(&file) else { return };
            file = next;
        }
    }

    /// Watches what leads to `file`, up to the first link; answers where the way goes on from there.
    fn way(&mut self, file: &Path) -> Option<PathBuf> {
        let mut way: Vec<_> = file.ancestors().collect();
        way.reverse();
        for path in way {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                continue;
            };
            let events = if path == file { CHANGES } else { ENTRIES };
            self.watch(parent, events, Role::LeadsTo(name.to_owned()));
            if let Ok(target) = fs::read_link(path) {
                let rest = file.strip_prefix(path).into_iter().flatten();
                return Some(parent.join(target).iter().chain(rest).collect());
            }
        }
        None
    }

    /// What may be a plugin.
    fn candidate(&mut self, path: &Path) {
        if !path.is_dir() || self.add(path, CHANGES).is_none() {
            return;
        }
        if entry(path).is_some() {
            self.plugin(path);
        } else {
            for name in ["cli", "cli.py"] {
                self.watch(path, CHANGES, Role::LeadsTo(name.into()));
            }
        }
    }

    /// A plugin, or a directory below one.
    fn plugin(&mut self, path: &Path) {
        if !self.watch(path, CHANGES, Role::Plugin) {
            return;
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if !counts(&entry.file_name(), kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                self.plugin(&entry.path());
            } else if kind.is_symlink() {
                self.link(&entry.path());
            }
        }
    }

    /// Watches for changes of what a link leads to, over other links, too; where `path` is none, nothing.
    fn link(&mut self, path: &Path) {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let Ok(target) = fs::read_link(&path) else {
                return;
            };
            path.pop();
            path.push(target);
            if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                self.watch(parent, CHANGES, Role::LeadsTo(name.to_owned()));
            }
        }
    }

    fn watch(&mut self, path: &Path, events: WatchMask, role: Role) -> bool {
        let watch = self.add(path, events);
        watch.map(|watch| self.note(watch, role)).is_some()
    }

    fn note(&mut self, watch: WatchDescriptor, role: Role) {
        let roles = self.found.entry(watch).or_default();
        if !roles.contains(&role) {
            roles.push(role);
        }
    }

    /// Watches a directory. One that is not there is none to be watched: whatever leads to it is.
    fn add(&mut self, path: &Path, events: WatchMask) -> Option<WatchDescriptor> {
        if self.found.len() >= MAX_DIRECTORIES {
            self.unwatched = Some(Unwatched::TooMany);
            return None;
        }
        // A directory may have several roles, and is watched for the events of all.
        let events = events | WatchMask::MASK_ADD | WatchMask::ONLYDIR;
        let error = match self.watches.add(path, events) {
            Ok(watch) => return Some(watch),
            Err(error) => error,
        };
        let kind = error.kind();
        if kind == ErrorKind::StorageFull {
            self.unwatched = Some(Unwatched::Limit);
        } else if ![
            ErrorKind::NotFound,
            ErrorKind::NotADirectory,
            ErrorKind::PermissionDenied,
        ]
        .contains(&kind)
        {
            let (path, message) = (path.to_owned(), error.to_string());
            self.unwatched = Some(Unwatched::Other { path, message });
        }
        None
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests;
