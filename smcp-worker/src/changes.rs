//! Noticing that plugins have been added, changed or removed, or files elsewhere that belong to them, and asking for a
//! scan then.
//!
//! A change is many events: a scan is asked for once they have ceased for a moment. Every worker watches, and of those
//! that see the same change one asks, see [`Queue::want_scan_unless`].

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::ReadyChunks;
use inotify::{EventStream, Inotify, Watches};
use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::{Queue, QueueError};
use smcp_common::remote::is_remote;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::plugin::territory::{Territory, Unwatched};
use crate::work::persist;

/// A change is complete once nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(250);
/// What goes on for longer is looked at in between.
const LATEST: Duration = Duration::from_secs(2);
/// The pace of scans where changes never end, such as those of a plugin that keeps a log beside its program …
const EVERY: Duration = Duration::from_secs(3);
/// … and how many may come at once before it applies.
const AT_ONCE: u32 = 20;
/// Events that are looked at together.
const CHUNK: usize = 1024;

const ADVICE: &str = "run `smcp plugins reload` after a change";

/// Watches the plugin directories.
#[derive(Debug)]
pub(crate) struct Changes {
    directories: Vec<PathBuf>,
    /// What belongs to plugins beside them, as they were last described.
    files: Vec<PathBuf>,
    events: ReadyChunks<EventStream<Vec<u8>>>,
    watches: Watches,
    territory: Territory,
    /// What has been told of what is not watched.
    told: Option<Unwatched>,
}

impl Changes {
    /// Watches `directories` from now on. `None` where the system lets nobody watch, which is logged.
    pub(crate) async fn watch(directories: &[PathBuf]) -> Option<Self> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let directories: Vec<_> = directories.iter().map(absolute).collect();
        let begun = Inotify::init().and_then(|inotify| {
            let watches = inotify.watches();
            let events = inotify.into_event_stream(vec![0; 4096])?;
            Ok((watches, events.ready_chunks(CHUNK)))
        });
        let (watches, events) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    error,
                    "the plugin directories are not watched (raise the sysctl fs.inotify.max_user_instances): {ADVICE}"
                );
                return None;
            }
        };
        for directory in directories.iter().filter(|path| is_remote(path)) {
            let directory = directory.display();
            tracing::warn!(
                "{directory} is on a network file system: what other machines change there is not noticed; {ADVICE}"
            );
        }
        let mut changes = Self {
            directories,
            files: Vec::new(),
            events,
            watches,
            territory: Territory::default(),
            told: None,
        };
        changes.survey().await;
        Some(changes)
    }

    /// Asks for a scan after each change until `shutdown` begins.
    pub(crate) async fn run(mut self, queue: Queue, worker: String, shutdown: Shutdown) {
        let by = format!("worker:{worker}");
        let watching = async {
            let mut pace = Pace::default();
            let mut declared = Declared::new(&queue);
            loop {
                let newest = self.change(&queue, &mut declared).await?;
                // Before the scan: what happens in directories that are new is then either found or heard.
                self.survey().await;
                pace.keep().await;
                if let Err(error) = ask(&queue, &by, newest).await {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "no scan can be asked for after a change of plugins");
                }
            }
        };
        let ended: Option<io::Result<()>> = shutdown.drain.run_until_cancelled(watching).await;
        if let Some(Err(error)) = ended {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "the plugin directories can no longer be watched: {ADVICE}"
            );
        }
    }

    /// Waits for a change and for its end. Answers the newest scan that had been asked for when its last event came:
    /// any later one finds all of it. That other files belong to plugins is a change, too: nobody has watched them before.
    async fn change(&mut self, queue: &Queue, declared: &mut Declared) -> io::Result<Option<i64>> {
        tokio::select! {
            concerning = self.concerning() => concerning?,
            () = declared.change(queue) => {
                self.files.clone_from(&declared.files);
                self.survey().await;
            }
        }
        let latest = Instant::now() + LATEST;
        loop {
            let newest = queue.newest_scan().ok();
            let now = Instant::now();
            if now >= latest {
                return Ok(newest);
            }
            match timeout_at(latest.min(now + QUIET), self.concerning()).await {
                Ok(more) => more?,
                Err(_) => return Ok(newest),
            }
        }
    }

    /// Waits for events that concern plugins.
    async fn concerning(&mut self) -> io::Result<()> {
        loop {
            let events = self.events.next().await.unwrap_or_default();
            if events.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut concerns = false;
            for event in events {
                concerns |= self.territory.concerns(&event?);
            }
            if concerns {
                return Ok(());
            }
        }
    }

    async fn survey(&mut self) {
        let (watches, directories) = (self.watches.clone(), self.directories.clone());
        let files = self.files.clone();
        let survey = move || Territory::survey(watches, &directories, &files);
        // It does not panic; otherwise what has been watched stays watched.
        let Ok((territory, unwatched)) = tokio::task::spawn_blocking(survey).await else {
            return;
        };
        std::mem::replace(&mut self.territory, territory).leave(&mut self.watches, &self.territory);
        if let Some(unwatched) = unwatched.as_ref().filter(|_| self.told != unwatched) {
            tracing::warn!(
                "the plugin directories are not watched completely, as {unwatched}: {ADVICE}"
            );
        }
        self.told = unwatched.or(self.told.take());
    }
}

/// The files elsewhere that plugins have said belong to them.
#[derive(Debug)]
struct Declared {
    news: watch::Receiver<u64>,
    /// The catalogue that has been looked at.
    version: Option<i64>,
    /// As it has them.
    files: Vec<PathBuf>,
}

impl Declared {
    fn new(queue: &Queue) -> Self {
        let mut news = queue.news();
        news.mark_changed();
        Self {
            news,
            version: None,
            files: Vec::new(),
        }
    }

    /// Waits until they are others.
    async fn change(&mut self, queue: &Queue) {
        loop {
            if self.news.changed().await.is_err() {
                return std::future::pending().await;
            }
            // What cannot be read now is looked at with the next news.
            let Ok(version) = queue.catalogue_version() else {
                continue;
            };
            if self.version == Some(version) {
                continue;
            }
            let Ok(files) = queue.plugin_files() else {
                continue;
            };
            self.version = Some(version);
            if files != self.files {
                self.files = files;
                return;
            }
        }
    }
}

async fn ask(queue: &Queue, by: &str, newest: Option<i64>) -> Result<(), QueueError> {
    let what = "request of a scan";
    match newest {
        Some(newest) => persist(what, || queue.want_scan_unless(by, newest))
            .await
            .map(drop),
        None => persist(what, || queue.want_scan(by)).await.map(drop),
    }
}

/// Keeps changes without end from making scans without pause.
#[derive(Debug, Default)]
struct Pace {
    /// When the scans so far would have been made at that pace.
    used_until: Option<Instant>,
    told: bool,
}

impl Pace {
    async fn keep(&mut self) {
        let now = Instant::now();
        let at = self.next(now);
        let late = at > now;
        if late && !self.told {
            tracing::warn!(
                "the plugin directories change all the time: they are looked at every {} s; a plugin should keep its \
                 data elsewhere",
                EVERY.as_secs()
            );
        }
        self.told = late;
        sleep_until(at).await;
    }

    /// When the scan that is due `now` may be made.
    fn next(&mut self, now: Instant) -> Instant {
        let used_until = self.used_until.map_or(now, |until| until.max(now)) + EVERY;
        self.used_until = Some(used_until);
        used_until
            .checked_sub(EVERY * AT_ONCE)
            .map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_scans_may_come_at_once_and_then_one_at_a_time() {
        let mut pace = Pace::default();
        let start = Instant::now() + Duration::from_hours(1);
        for _ in 0..AT_ONCE {
            assert_eq!(pace.next(start), start);
        }
        for n in 1..4 {
            assert_eq!(pace.next(start), start + EVERY * n);
        }
        let later = start + Duration::from_hours(1);
        assert_eq!(pace.next(later), later);
    }
}
