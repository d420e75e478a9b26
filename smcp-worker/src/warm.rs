//! Interpreters that wait for the next call of their plugin, so that a call does not wait for the start of Python.
//!
//! Each stands in its plugin's sandbox with the plugin's imports done (`host.py`), and forks for each call; the fork
//! runs the plugin's file anew. Where that could differ from a start of its own, the plugin is run by
//! [`process::run`], and [`Warm::reason`] tells why.

mod control;
mod interpreter;
mod signature;

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smcp_common::sandbox::Start;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::interpreter::{Broken, Interpreter, Readiness};
use crate::plugin::process::{
    self, Ended, Exit, Invocation, Limits, Output, ProcessError, StopReason,
};

/// So much of arguments and environment the kernel hands to any program; what is more gets its refusal from there.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;
const MAX_STRING_BYTES: usize = 128 * 1024 - 1;
/// Variables that Python and its libraries read when they start: where a call has some of its own, it is started anew.
const READ_AT_START: [&str; 6] = ["PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC_"];
/// After a start that failed by chance, the plugin is not tried again for so long.
const REST: Duration = Duration::from_secs(60);
/// Calls in a row that left processes behind, after which a plugin is always started anew: to start an interpreter for
/// a single call costs more than it saves.
const MAX_SPOILED: u32 = 3;

/// The interpreters of one worker.
#[derive(Debug)]
pub struct Warm {
    bounds: Bounds,
    plugins: Mutex<BTreeMap<String, Known>>,
}

/// How many interpreters wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// At a time; beyond it the one that has waited longest goes.
    pub interpreters: usize,
    /// Calls of one interpreter.
    pub calls: u32,
    /// Without a call.
    pub idle: Duration,
}

/// Where the calls of one plugin are run, beside what is in their [`Invocation`].
#[derive(Clone, Debug)]
pub struct Place {
    /// The plugin's name. It has one interpreter at most.
    pub plugin: String,
    /// Of the plugin's files: with another one, a new interpreter is started.
    pub digest: String,
    /// Of what its sandbox is like; the same goes for it.
    pub fingerprint: String,
    /// The environment in which it imports: that of each call, without what differs between calls and without
    /// secrets.
    pub env: Vec<(OsString, OsString)>,
    /// A directory of this machine that its calls have to write to, made before its start and removed after its end.
    pub scratch: Option<PathBuf>,
    /// Directories, as its sandbox names them, of which nothing may be left after a call but what is mounted there.
    pub emptied: Vec<PathBuf>,
    /// Whether it may do without Landlock, which keeps a call from reaching the interpreter and so the next call.
    pub unconfined: bool,
    /// What its sandbox has on this machine: kept as long as the interpreter waits there.
    pub keep: Option<Arc<dyn Any + Send + Sync>>,
}

/// What is known of a plugin.
#[derive(Debug)]
enum Known {
    Waiting(Box<Interpreter>),
    /// It is not to be kept waiting, for this place and interpreter.
    Refused {
        origin: Origin,
        reason: String,
    },
    /// Its start failed by chance.
    Resting {
        until: Instant,
        reason: String,
    },
    /// Its last calls left processes behind, so many in a row.
    Spoiled(u32),
}

/// What an interpreter is made from: where something differs, it is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sameness {
    origin: Origin,
    /// Each place has its own: the names of its directories are in it.
    env: Vec<(OsString, OsString)>,
}

/// What decides whether an interpreter can wait.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    digest: String,
    fingerprint: String,
    program: PathBuf,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            interpreters: 8,
            calls: 200,
            idle: Duration::from_secs(5 * 60),
        }
    }
}

impl Warm {
    /// No interpreters yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            plugins: Mutex::default(),
        }
    }

    /// Runs one call, as [`process::run`] does: `invocation` is the same, a Python program whose first argument is
    /// its file. Where there is no interpreter yet, one is started; where there cannot be one, the call is run without.
    ///
    /// # Errors
    /// Those of [`process::run`].
    pub async fn run(
        &self,
        place: &Place,
        invocation: &Invocation,
        limits: &Limits,
        stop: impl Future<Output = StopReason>,
        output: mpsc::Sender<Output>,
    ) -> Result<Ended, ProcessError> {
        let started_at = Instant::now();
        let deadline = limits.deadline(started_at);
        let mut stop = pin!(stop);
        if fits(place, invocation) {
            match self
                .interpreter(place, invocation, stop.as_mut(), deadline)
                .await
            {
                Found::Ready(mut interpreter) => {
                    let called = interpreter
                        .call(invocation, limits, deadline, stop.as_mut(), &output)
                        .await;
                    self.put_back(place, interpreter).await;
                    match called {
                        Ok(ended) => return Ok(ended),
                        Err(Broken::Run(error)) => return Err(error),
                        Err(Broken::BeforeStart(error)) => {
                            let error: &dyn std::error::Error = &error;
                            tracing::warn!(
                                plugin.name = place.plugin,
                                error,
                                "a waiting interpreter is lost"
                            );
                        }
                    }
                }
                Found::Ended(exit) => return Ok(unstarted(exit, started_at)),
                Found::Nothing => {}
            }
        } else {
            // What this call leaves in their common place would be there for the next one.
            self.clear(place).await;
        }
        let left = Limits {
            timeout: limits
                .timeout
                .map(|timeout| timeout.saturating_sub(started_at.elapsed())),
            ..limits.clone()
        };
        renew(place.scratch.as_ref());
        let ended = process::run(invocation, &left, stop, output).await;
        remove(place.scratch.as_ref());
        ended
    }

    /// What the sandbox has in which an interpreter of that origin waits for calls of that plugin; `None` where none
    /// does.
    pub fn kept(
        &self,
        plugin: &str,
        digest: &str,
        fingerprint: &str,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        match self.plugins().get(plugin)? {
            Known::Waiting(interpreter) => {
                let origin = &interpreter.same.origin;
                let is_same = origin.digest == digest && origin.fingerprint == fingerprint;
                interpreter.keep.clone().filter(|_| is_same)
            }
            Known::Refused { .. } | Known::Resting { .. } | Known::Spoiled(_) => None,
        }
    }

    /// Why that plugin is started anew for each call; `None` where it is not.
    pub fn reason(&self, plugin: &str) -> Option<String> {
        match self.plugins().get(plugin)? {
            Known::Refused { reason, .. } | Known::Resting { reason, .. } => Some(reason.clone()),
            Known::Waiting(_) | Known::Spoiled(_) => None,
        }
    }

    /// Starts an interpreter for calls like `invocation`, and ends it: what it has imported for them.
    ///
    /// # Errors
    /// Why none can wait.
    pub async fn rehearse(
        &self,
        place: &Place,
        invocation: &Invocation,
    ) -> Result<Vec<String>, String> {
        let never = pin!(std::future::pending());
        let deadline = Instant::now() + REST;
        match self.interpreter(place, invocation, never, deadline).await {
            Found::Ready(mut interpreter) => {
                let imported = std::mem::take(&mut interpreter.imported);
                interpreter.end().await;
                Ok(imported)
            }
            Found::Ended(_) | Found::Nothing => {
                let unknown = || "its interpreter did not begin to wait in time".to_owned();
                Err(self.reason(&place.plugin).unwrap_or_else(unknown))
            }
        }
    }

    /// Ends all interpreters, and answers when nothing is left of them.
    pub async fn close(&self) {
        let plugins = std::mem::take(&mut *self.plugins());
        for known in plugins.into_values() {
            end(known).await;
        }
    }

    async fn interpreter(
        &self,
        place: &Place,
        invocation: &Invocation,
        stop: Pin<&mut impl Future<Output = StopReason>>,
        deadline: Instant,
    ) -> Found {
        let same = Sameness {
            origin: Origin {
                digest: place.digest.clone(),
                fingerprint: place.fingerprint.clone(),
                program: invocation.program.clone(),
            },
            env: place.env.clone(),
        };
        let spoiled = match self.take(place) {
            Some(Known::Waiting(interpreter)) => {
                if interpreter.serves(&same, self.bounds.calls) {
                    return Found::Ready(interpreter);
                }
                let spoiled = interpreter.spoiled;
                // The next one has the same directory.
                interpreter.end().await;
                spoiled
            }
            Some(Known::Refused { origin, reason }) if origin == same.origin => {
                let refused = Known::Refused { origin, reason };
                self.plugins().insert(place.plugin.clone(), refused);
                return Found::Nothing;
            }
            Some(Known::Resting { until, reason }) if until > Instant::now() => {
                let resting = Known::Resting { until, reason };
                self.plugins().insert(place.plugin.clone(), resting);
                return Found::Nothing;
            }
            Some(Known::Spoiled(calls)) => calls,
            Some(Known::Refused { .. } | Known::Resting { .. }) | None => 0,
        };
        self.make_room().await;
        renew(place.scratch.as_ref());
        let mut interpreter =
            match Interpreter::start(place, invocation, same.clone(), self.bounds.idle) {
                Ok(interpreter) => Box::new(interpreter),
                Err(error) => {
                    self.rest(place, error.to_string());
                    return Found::Nothing;
                }
            };
        interpreter.spoiled = spoiled;
        let readiness = tokio::select! {
            readiness = interpreter.ready() => readiness,
            reason = stop => {
                interpreter.end().await;
                return Found::Ended(Exit::Stopped(reason));
            }
            () = sleep_until(deadline) => {
                interpreter.end().await;
                return Found::Ended(Exit::TimedOut);
            }
        };
        match readiness {
            Readiness::Ready => Found::Ready(interpreter),
            Readiness::Refused(reason) => {
                interpreter.end().await;
                self.refuse(place, same.origin, reason);
                Found::Nothing
            }
            Readiness::Failed(reason) => {
                interpreter.end().await;
                self.rest(place, reason);
                Found::Nothing
            }
        }
    }

    /// Ends the interpreter that waits for calls of that plugin, where one does.
    async fn clear(&self, place: &Place) {
        match self.take(place) {
            Some(Known::Waiting(interpreter)) => interpreter.end().await,
            Some(known @ (Known::Refused { .. } | Known::Resting { .. } | Known::Spoiled(_))) => {
                self.plugins().insert(place.plugin.clone(), known);
            }
            None => {}
        }
    }

    fn take(&self, place: &Place) -> Option<Known> {
        self.plugins().remove(&place.plugin)
    }

    async fn put_back(&self, place: &Place, mut interpreter: Box<Interpreter>) {
        interpreter.spoiled = if interpreter.left_processes {
            interpreter.spoiled + 1
        } else {
            0
        };
        let spoiled = interpreter.spoiled;
        let known = if interpreter.is_over() {
            let origin = interpreter.same.origin.clone();
            interpreter.end().await;
            if spoiled >= MAX_SPOILED {
                let reason = "its calls leave processes behind".to_owned();
                return self.refuse(place, origin, reason);
            }
            Known::Spoiled(spoiled)
        } else {
            interpreter.rest();
            Known::Waiting(interpreter)
        };
        let replaced = self.plugins().insert(place.plugin.clone(), known);
        if let Some(replaced) = replaced {
            end(replaced).await;
        }
    }

    /// Ends those that have waited longest, so that another one may be started.
    async fn make_room(&self) {
        loop {
            let longest = {
                let mut plugins = self.plugins();
                let waiting = plugins.iter().filter_map(|(name, known)| match known {
                    Known::Waiting(interpreter) => Some((interpreter.since, name)),
                    Known::Refused { .. } | Known::Resting { .. } | Known::Spoiled(_) => None,
                });
                let waiting: Vec<_> = waiting.collect();
                if waiting.len() < self.bounds.interpreters {
                    return;
                }
                let longest = waiting.into_iter().min().map(|(_, name)| name.clone());
                longest.and_then(|name| plugins.remove(&name))
            };
            match longest {
                Some(known) => end(known).await,
                None => return,
            }
        }
    }

    fn refuse(&self, place: &Place, origin: Origin, reason: String) {
        tracing::info!(
            plugin.name = place.plugin,
            reason,
            "the plugin is started anew for each call"
        );
        let refused = Known::Refused { origin, reason };
        self.plugins().insert(place.plugin.clone(), refused);
    }

    fn rest(&self, place: &Place, reason: String) {
        tracing::warn!(
            plugin.name = place.plugin,
            reason,
            "no interpreter can wait for the plugin's calls now"
        );
        let until = Instant::now() + REST;
        let resting = Known::Resting { until, reason };
        self.plugins().insert(place.plugin.clone(), resting);
    }

    fn plugins(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Warm {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

async fn end(known: Known) {
    if let Known::Waiting(interpreter) = known {
        interpreter.end().await;
    }
}

/// What there is for a call.
enum Found {
    Ready(Box<Interpreter>),
    Nothing,
    /// The call has ended while it waited for its interpreter.
    Ended(Exit),
}

/// Whether a fork could be what the program of `invocation` is: the kernel would start it, and nothing that is read at
/// a start is different.
fn fits(place: &Place, invocation: &Invocation) -> bool {
    let sizes = invocation.args.iter().map(|word| word.len());
    let variables = invocation.env.iter();
    let sizes = sizes.chain(variables.map(|(name, value)| name.len() + value.len() + 1));
    let mut total = 0;
    for size in sizes {
        total += size;
        if size > MAX_STRING_BYTES || total > MAX_REQUEST_BYTES {
            return false;
        }
    }
    let own = |name: &OsStr| {
        READ_AT_START
            .iter()
            .any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()))
    };
    let known = |variable: &&(OsString, OsString)| place.env.contains(variable);
    let is_missing = place
        .env
        .iter()
        .any(|variable| !invocation.env.contains(variable));
    let is_new = |variable: &(OsString, OsString)| own(&variable.0) && !known(&variable);
    !is_missing && !invocation.env.iter().any(is_new)
}

/// Makes an empty directory. One may be left of an interpreter that had no time to end.
fn renew(scratch: Option<&PathBuf>) {
    let Some(scratch) = scratch else { return };
    remove(Some(scratch));
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(scratch);
    if let Err(error) = made {
        // Whoever needs it will say so.
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "a scratch directory cannot be made");
    }
}

fn remove(scratch: Option<&PathBuf>) {
    let Some(scratch) = scratch else { return };
    if let Err(error) = fs::remove_dir_all(scratch)
        && error.kind() != io::ErrorKind::NotFound
    {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "a scratch directory cannot be removed");
    }
}

fn unstarted(exit: Exit, started_at: Instant) -> Ended {
    Ended {
        started: false,
        ..Ended::silent(exit, Start::Warm, started_at.elapsed())
    }
}
