//! Following the directory of rules, and the catalogue, as long as the API runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use smcp_common::policy::{Level, Unready};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::directory::{Fingerprint, fingerprint};
use super::{Rules, RulesError};
use crate::app::App;

/// A change is complete once nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(200);
/// What goes on for longer is looked at in between.
const LATEST: Duration = Duration::from_secs(2);
/// How often the directory is looked at where its changes are not heard …
const LOOK_DEAF: Duration = Duration::from_secs(2);
/// … and where they are: a file may be a link to one elsewhere.
const LOOK: Duration = Duration::from_secs(30);
/// The database is looked at no more often for other tools: jobs make news all the time.
const PAUSE: Duration = Duration::from_millis(50);

/// Adopts the rules of the directory, and follows it until the answer is dropped.
///
/// # Errors
/// [`RulesError`] where the rules cannot be accepted and none are in force. With others in force, these stay, and the log says so.
pub async fn start(app: &Arc<App>) -> Result<AbortOnDropHandle<()>, RulesError> {
    let rules = &app.rules;
    make_default(rules);
    // Before the first look: what is changed during it is then noticed.
    let ear = Ear::on(rules.directory());
    let known = fingerprint(rules.directory());
    let state = rules.queue.policy_state().ok();
    let adopted = rules.adopt().await;
    let again = is_passing(&adopted);
    if let Err(error) = adopted {
        let stay = match rules.queue.policies() {
            Ok(in_force) => in_force.version > 0 && rules.current().is_ok(),
            Err(_) => false,
        };
        if !stay {
            return Err(error);
        }
        told(&error);
    }
    let app = Arc::clone(app);
    let task = tokio::spawn(async move {
        let rules = &app.rules;
        let seen = Seen { known, again };
        let tools = state.map(|state| state.catalogue);
        tokio::join!(follow(rules, ear, seen), keep_ready(&app, tools));
    });
    Ok(AbortOnDropHandle::new(task))
}

/// Makes the directory that nobody has named, so that it can be found and watched. Not where rules are in force: an empty one would
/// mean that there are to be none.
fn make_default(rules: &Rules) {
    let has_none = rules
        .queue
        .policies()
        .is_ok_and(|found| found.files.is_empty());
    if rules.is_default
        && has_none
        && let Err(error) = std::fs::create_dir_all(&rules.directory)
    {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "the directory of rules cannot be made");
    }
}

/// What is known of the directory.
struct Seen {
    known: Option<Fingerprint>,
    /// Whether its rules are to be looked at again although nothing has changed.
    again: bool,
}

/// Whether rules have been kept from coming into force by what passes by itself.
fn is_passing(adopted: &Result<bool, RulesError>) -> bool {
    matches!(adopted, Err(RulesError::Queue(_)))
}

async fn follow(rules: &Rules, mut ear: Option<Ear>, mut seen: Seen) {
    loop {
        let heard = if let Some(ear) = &mut ear {
            timeout(LOOK, ear.change()).await.unwrap_or(Heard::Nothing)
        } else {
            sleep(LOOK_DEAF).await;
            ear = Ear::on(rules.directory());
            Heard::Nothing
        };
        let now = fingerprint(rules.directory());
        match heard {
            Heard::Nothing if now == seen.known && !seen.again => continue,
            Heard::Nothing | Heard::Change => {}
            // The directory itself is gone, or another one.
            Heard::End => ear = None,
        }
        seen.known = now;
        let adopted = rules.adopt().await;
        seen.again = is_passing(&adopted);
        if let Err(error) = adopted {
            told(&error);
        }
    }
}

/// Makes rules ready as soon as they or the tools change, so that no call has to wait for it, and says which rules name what is not
/// there any more. Rules that have been refused may be right with other tools than those of the catalogue's version `tools`.
async fn keep_ready(app: &Arc<App>, mut tools: Option<i64>) {
    let mut news = app.queue.news();
    let mut seen = None;
    loop {
        let state = app.queue.policy_state().ok();
        if let Some(now) = state
            && state != seen
        {
            seen = state;
            if tools.replace(now.catalogue) != Some(now.catalogue)
                && app.rules.refused().is_some()
                && let Err(error) = app.rules.adopt().await
            {
                told(&error);
            }
            let app = Arc::clone(app);
            // It does not panic.
            let ready = tokio::task::spawn_blocking(move || stale(&app.rules)).await;
            if let Ok(Err(error)) = ready {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "the rules in force cannot be used: nothing is run");
            }
        }
        if news.changed().await.is_err() {
            return;
        }
        sleep(PAUSE).await;
    }
}

fn stale(rules: &Rules) -> Result<(), Unready> {
    let policies = rules.current()?;
    // Before the first look at the plugins every rule is.
    if rules.queue.catalogue()?.scanned > 0 {
        for problem in policies.problems(&rules.names()?) {
            if problem.level == Level::Stale {
                tracing::warn!("{problem}");
            }
        }
    }
    Ok(())
}

fn told(error: &RulesError) {
    match error {
        RulesError::Refused { problems, .. } => {
            for problem in problems
                .iter()
                .filter(|problem| problem.level == Level::Error)
            {
                tracing::error!("{problem}");
            }
            tracing::error!("the rules are refused; those that were in force stay");
        }
        RulesError::Directory(_) | RulesError::Queue(_) | RulesError::Fault(_) => {
            let error: &dyn std::error::Error = error;
            tracing::error!(error, "the rules that were in force stay");
        }
    }
}

/// What has been heard of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Change,
    End,
}

#[cfg(target_os = "linux")]
use linux::Ear;

#[cfg(target_os = "linux")]
mod linux {
    use futures::StreamExt as _;
    use inotify::{EventMask, EventStream, Inotify, WatchMask};
    use smcp_common::remote::is_remote;

    use super::{Heard, Instant, LATEST, Path, QUIET, timeout};

    /// Hears of changes in the directory.
    pub(super) struct Ear(EventStream<Vec<u8>>);

    impl Ear {
        /// `None` where the directory is not there, or its changes cannot be heard.
        pub(super) fn on(directory: &Path) -> Option<Self> {
            if is_remote(directory) {
                return None;
            }
            let inotify = Inotify::init().ok()?;
            let mask = WatchMask::CLOSE_WRITE
                | WatchMask::CREATE
                | WatchMask::DELETE
                | WatchMask::MOVE
                | WatchMask::ATTRIB
                | WatchMask::DELETE_SELF
                | WatchMask::MOVE_SELF
                | WatchMask::ONLYDIR;
            inotify.watches().add(directory, mask).ok()?;
            inotify.into_event_stream(vec![0; 4096]).ok().map(Self)
        }

        /// Waits for a change and for its end.
        pub(super) async fn change(&mut self) -> Heard {
            let mut heard = self.next().await;
            let latest = Instant::now() + LATEST;
            while heard == Heard::Change && Instant::now() < latest {
                match timeout(QUIET, self.next()).await {
                    Ok(more) => heard = more,
                    Err(_) => break,
                }
            }
            heard
        }

        async fn next(&mut self) -> Heard {
            let end = EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED;
            match self.0.next().await {
                Some(Ok(event)) if !event.mask.intersects(end) => Heard::Change,
                Some(_) | None => Heard::End,
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
struct Ear;

#[cfg(not(target_os = "linux"))]
impl Ear {
    fn on(_: &Path) -> Option<Self> {
        None
    }

    async fn change(&mut self) -> Heard {
        Heard::End
    }
}
