//! Waking other processes: a doorbell file beside the database, into which one byte is written after each commit
//! that made news. Watching the `-wal` file instead would wake readers before the commit is visible.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

#[cfg(target_os = "linux")]
use crate::remote;

/// How a process learns of commits by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wake {
    /// By the doorbell where the system can watch it, else by polling.
    #[default]
    Auto,
    /// By asking the database every few milliseconds whether it has changed.
    Polling,
    /// Not at all: for a handle that nobody waits on. Watches of files are a scarce thing.
    Never,
}

/// Writers that know nothing of the doorbell (an operator's `sqlite3`) are noticed this often.
const SAFETY_TICK: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(5);

/// The ringing side.
#[derive(Debug)]
pub(super) struct Bell(File);

impl Bell {
    pub(super) fn beside(database: &Path) -> std::io::Result<Self> {
        Ok(Self(
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(bell_path(database))?,
        ))
    }

    /// Says that there is news. A lost ring costs at most [`SAFETY_TICK`], hence no error.
    pub(super) fn ring(&self) {
        use std::os::unix::fs::FileExt;
        if let Err(error) = self.0.write_at(b"!", 0) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the doorbell cannot be rung"
            );
        }
    }
}

/// The hearing side: a counter that grows when there may be news.
#[derive(Debug)]
pub(super) struct Ear {
    news: watch::Receiver<u64>,
    _listener: Option<AbortOnDropHandle<()>>,
}

impl Ear {
    /// Starts to listen. `database` is a connection of its own, asked for its `data_version`.
    pub(super) fn listen(path: &Path, database: Connection, wake: Wake) -> Self {
        let (sender, news) = watch::channel(0);
        let rings = match wake {
            Wake::Auto => rings(&bell_path(path)),
            Wake::Polling => None,
            Wake::Never => {
                return Self {
                    news,
                    _listener: None,
                };
            }
        };
        // Before the first await: what is committed from now on counts as news.
        let mut seen = Seen::now(database);
        let listener = async move {
            match rings {
                Some(rings) => hear(rings, &mut seen, &sender).await,
                None => poll(&mut seen, &sender).await,
            }
        };
        Self {
            news,
            _listener: Some(AbortOnDropHandle::new(tokio::spawn(listener))),
        }
    }

    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.clone()
    }
}

fn bell_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-bell");
    name.into()
}

async fn hear(mut rings: Rings, seen: &mut Seen, sender: &watch::Sender<u64>) {
    use futures::StreamExt;
    let mut tick = tokio::time::interval_at(Instant::now() + SAFETY_TICK, SAFETY_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ring = rings.next() => if let Some(Ok(_)) = ring { sender.send_modify(|n| *n += 1) } else {
                tracing::warn!("the doorbell file can no longer be watched; polling the database instead");
                return poll(seen, sender).await;
            },
            _ = tick.tick() => seen.look(sender),
        }
    }
}

async fn poll(seen: &mut Seen, sender: &watch::Sender<u64>) {
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        seen.look(sender);
    }
}

/// The state of the database that has been noticed.
struct Seen {
    database: Connection,
    version: Option<i64>,
}

impl Seen {
    fn now(database: Connection) -> Self {
        let version = data_version(&database);
        Self { database, version }
    }

    fn look(&mut self, sender: &watch::Sender<u64>) {
        let version = data_version(&self.database);
        // An unreadable version counts as news: better one look too many.
        if version.is_none() || version != self.version {
            self.version = version;
            sender.send_modify(|n| *n += 1);
        }
    }
}

fn data_version(database: &Connection) -> Option<i64> {
    database
        .prepare_cached("PRAGMA data_version")
        .ok()?
        .query_row([], |row| row.get(0))
        .ok()
}

#[cfg(target_os = "linux")]
type Rings = inotify::EventStream<[u8; 1024]>;

/// `None` where the doorbell cannot be heard: no inotify, or a file system whose changes come from other machines.
#[cfg(target_os = "linux")]
fn rings(bell: &Path) -> Option<Rings> {
    use inotify::{Inotify, WatchMask};
    if remote::is_remote(bell) {
        return None;
    }
    let inotify = Inotify::init().ok()?;
    inotify
        .watches()
        .add(
            bell,
            WatchMask::MODIFY | WatchMask::DELETE_SELF | WatchMask::MOVE_SELF,
        )
        .ok()?;
    inotify.into_event_stream([0; 1024]).ok()
}

#[cfg(not(target_os = "linux"))]
type Rings = futures::stream::Pending<std::io::Result<()>>;

#[cfg(not(target_os = "linux"))]
fn rings(_: &Path) -> Option<Rings> {
    None
}
