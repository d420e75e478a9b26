//! A log file that several processes write, each a line at a time, and that one of them at a time rotates.
//!
//! `smcp up`, the API and the workers share one file. Whether it is time to rotate is read from the file itself, so that
//! all of them see the same; a lock beside it lets one do it, and the others notice that the name stands for a new file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::clock::{SharedClock, Timestamp};
use crate::config::LogFile;

/// Its owner writes it, and a group may be let in to read it.
const MODE: u32 = 0o640;

/// The open log file.
#[derive(Debug)]
pub(super) struct Rotating {
    settings: LogFile,
    clock: SharedClock,
    file: Mutex<File>,
}

impl Rotating {
    /// Opens the file, and makes it and its directory where they are not there.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(settings: LogFile, clock: SharedClock) -> io::Result<Self> {
        if let Some(directory) = settings.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = Mutex::new(append_to(&settings.path)?);
        Ok(Self {
            settings,
            clock,
            file,
        })
    }

    /// Writes a line, to a new file where it is time for one.
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let path = &self.settings.path;
        let there = fs::metadata(path).ok();
        if there.as_ref().is_some_and(|there| self.is_due(there)) {
            self.rotate()?;
        }
        if !is_at(&file, path)? {
            *file = append_to(path)?;
        }
        file.write_all(line)
    }

    fn is_due(&self, file: &Metadata) -> bool {
        let written = file.modified().map_or(Timestamp::from_millis(0), timestamp);
        file.len() > 0
            && self
                .settings
                .rotation
                .is_due(file.len(), written, self.clock.now())
    }

    fn rotate(&self) -> io::Result<()> {
        let path = &self.settings.path;
        let lock = append_to(&numbered(path, "lock"))?;
        lock.lock()?;
        // Another process may have been faster.
        if fs::metadata(path).is_ok_and(|there| self.is_due(&there)) {
            shift(path, self.settings.backups)?;
        }
        Ok(())
    }
}

impl Write for &Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
}

/// Whether `path` stands for that file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    Ok(
        fs::metadata(path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())),
    )
}

/// Moves each file to the next number; the last one makes room.
fn shift(path: &Path, backups: u32) -> io::Result<()> {
    if backups == 0 {
        return fs::remove_file(path);
    }
    for n in (1..backups).rev() {
        let from = numbered(path, &n.to_string());
        if from.exists() {
            fs::rename(from, numbered(path, &(n + 1).to_string()))?;
        }
    }
    fs::rename(path, numbered(path, "1"))
}

/// `server.log.1`
fn numbered(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.map_or(Timestamp::from_millis(0), |since| {
        Timestamp::from_millis(0).plus(since)
    })
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock as _, ManualClock, SystemClock};
    use crate::config::Rotation;

    fn settings(path: PathBuf, rotation: Rotation) -> LogFile {
        LogFile {
            path,
            rotation,
            backups: 2,
        }
    }

    /// The file and its predecessors, newest first.
    fn texts(path: &Path) -> Vec<String> {
        let names = [path.to_owned(), numbered(path, "1"), numbered(path, "2")];
        let texts = names.iter().map(fs::read_to_string);
        texts.map_while(Result::ok).collect()
    }

    #[test]
    fn a_full_file_makes_room_and_the_oldest_one_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/server.log");
        let by_size = settings(path.clone(), Rotation::BySize { max_bytes: 4 });
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let log = Rotating::open(by_size, clock).unwrap();
        for line in ["one\n", "two\n", "3\n", "4\n", "five\n"] {
            (&log).write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(texts(&path), ["five\n", "3\n4\n", "two\n"]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(!numbered(&path, "3").exists());
    }

    #[test]
    fn a_new_day_begins_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        let daily = Rotation::ByTime {
            every: Duration::from_hours(24),
            offset: Duration::ZERO,
        };
        let now = SystemClock.now();
        let clock = ManualClock::at(now);
        let log = Rotating::open(settings(path.clone(), daily), clock.clone()).unwrap();
        (&log).write_all(b"today\n").unwrap();
        clock.advance(Duration::from_hours(24));
        (&log).write_all(b"tomorrow\n").unwrap();
        assert_eq!(texts(&path), ["tomorrow\n", "today\n"]);
    }

    #[test]
    fn a_file_that_somebody_has_moved_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        let clock = ManualClock::at(Timestamp::from_millis(0));
        let log = Rotating::open(settings(path.clone(), Rotation::Never), clock).unwrap();
        (&log).write_all(b"one\n").unwrap();
        fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        (&log).write_all(b"two\n").unwrap();
        assert_eq!(texts(&path), ["two\n"]);
    }

    #[test]
    fn nothing_is_lost_where_several_write_and_rotate() {
        const WRITERS: usize = 4;
        const LINES: usize = 200;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        let all = LogFile {
            backups: 10_000,
            ..settings(path.clone(), Rotation::BySize { max_bytes: 100 })
        };
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let all = all.clone();
                // Each with a file of its own, as separate processes have.
                scope.spawn(move || {
                    let clock = ManualClock::at(Timestamp::from_millis(0));
                    let log = Rotating::open(all, clock).unwrap();
                    for line in 0..LINES {
                        let line = format!("{writer:02}:{line:04}\n");
                        (&log).write_all(line.as_bytes()).unwrap();
                    }
                });
            }
        });
        let mut lines: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .flat_map(|entry| {
                let text = fs::read_to_string(entry.unwrap().path()).unwrap();
                text.lines().map(ToOwned::to_owned).collect::<Vec<_>>()
            })
            .collect();
        lines.sort();
        let expected = (0..WRITERS)
            .flat_map(|writer| (0..LINES).map(move |line| format!("{writer:02}:{line:04}")));
        assert_eq!(lines, expected.collect::<Vec<_>>());
    }
}
