//! ⑤ One attempt of one job: the tool is looked up, its process is run, what it says is stored as it comes, and
//! its end is put into words.

mod authority;
mod integrity;
mod limit;
mod secrets;
mod stream;
mod verdict;

use std::any::Any;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smcp_common::job::{Claimed, Failure, Outcome, code};
use smcp_common::lifecycle::Shutdown;
use smcp_common::plugin::{Plugin, Tool, Warm as Wish, argv, normalise};
use smcp_common::policy::Keeper;
use smcp_common::queue::{Catalogue, Hold, Queue, QueueError};
use smcp_common::sandbox::{Confinement, Profile, Start};
use tokio::sync::mpsc;
use tracing::Instrument;

use self::secrets::Prepared;
use self::stream::Stream;
use crate::lease::LeaseKeeper;
use crate::plugin::digest::Digests;
use crate::plugin::process::{self, Invocation, Limits, StopReason};
use crate::sandbox::cgroups;
use crate::sandbox::placing::{Place, PlacingError, Sandbox};
use crate::warm::{self, Warm};
use crate::work::{Ending, Run, persist};

/// Runs attempts.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) queue: Queue,
    pub(crate) worker: String,
    /// The binary that becomes the supervisor of a plugin's process tree.
    pub(crate) supervisor: PathBuf,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) leases: LeaseKeeper,
    pub(crate) shutdown: Shutdown,
    pub(crate) catalogue: Mutex<Option<Arc<Catalogue>>>,
    /// The rules in force.
    pub(crate) rules: Keeper,
    /// Interpreters that wait for calls; `None` where the operator wants none.
    pub(crate) warm: Option<Warm>,
    /// What finds out whether a plugin is the accepted one; `None` where it need not be.
    pub(crate) required: Option<Arc<Digests>>,
}

impl Run for Runner {
    async fn run(&self, job: Claimed) -> Ending {
        let span = tracing::info_span!(
            "job.attempt",
            job.id = %job.id,
            job.tool = job.tool,
            job.attempt = job.attempt
        );
        let started = std::time::Instant::now();
        let ending = self.attempt(&job).instrument(span.clone()).await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let _entered = span.entered();
        tracing::info!(
            outcome = ending.outcome.as_str(),
            duration_ms,
            "attempt ended"
        );
        ending
    }
}

impl Runner {
    async fn attempt(&self, job: &Claimed) -> Ending {
        let catalogue = match self.catalogue().await {
            Ok(catalogue) => catalogue,
            Err(error) => return unreadable(&error),
        };
        if let Some(refused) = self.quarantined(&catalogue, job).await {
            return refused;
        }
        let Some((plugin, tool)) = find(&catalogue, job) else {
            let message = format!("Tool {} is no longer offered by any plugin.", job.tool);
            return refused(code::PLUGIN_NOT_FOUND, message);
        };
        if !Path::new(&plugin.directory).join(&plugin.entry).is_file() {
            let Plugin {
                name,
                directory,
                entry,
                ..
            } = plugin;
            let message =
                format!("Plugin {name} is gone: there is no {directory}/{entry} any more.");
            return refused(code::PLUGIN_NOT_FOUND, message);
        }
        let prepared = match secrets::prepare(&self.queue, plugin, tool, job).await {
            Ok(prepared) => prepared,
            Err(failure) => return refused(&failure.code, failure.message),
        };
        let Prepared {
            arguments,
            injected,
            redactor,
        } = prepared;
        // A plugin that has changed meanwhile may have more defaults, which rules expect.
        let arguments = normalise(tool, arguments);
        let asked = match self.authorise(plugin, tool, job, &arguments).await {
            Ok(asked) => asked,
            Err(ending) => return ending,
        };
        let argv = match argv::render(tool, &arguments) {
            Ok(argv) => argv,
            Err(error) => return refused(code::INVALID_ARGUMENTS, error.to_string()),
        };
        let strictly = job.strict_sandbox || asked.strict_sandbox;
        let place = match self.place(plugin, tool, strictly) {
            Ok(place) => place,
            Err(PlacingError::Unavailable(message)) => {
                return refused(code::SANDBOX_UNAVAILABLE, message);
            }
            Err(error @ PlacingError::Short(_)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no sandbox");
                let message = "The worker cannot prepare a sandbox; its log has the details.";
                return refused(code::INTERNAL, message);
            }
        };
        let mut invocation = place.start(plugin, &self.supervisor);
        invocation.args.extend(argv.into_iter().map(OsString::from));
        injected.add_to(&mut invocation);
        invocation.redactor = redactor;
        let longest = asked.timeout_ms.map(Duration::from_millis);
        let limits = limits(&place.profile, [job.timeout, longest]);
        let warm = self.waits(plugin, tool, &place.profile);
        self.run_process(job, (plugin, tool), invocation, &place, &limits, warm)
            .await
    }

    /// The place of an interpreter that waits for calls of `tool`, else a new one.
    fn place(
        &self,
        plugin: &Plugin,
        tool: &Tool,
        strictly: bool,
    ) -> Result<Arc<Place>, PlacingError> {
        let profile = self.sandbox.profile(plugin, &plugin.asks(tool))?;
        if strictly {
            self.sandbox.check_strictly(&profile)?;
        }
        let waiting = self.warm.as_ref().and_then(|warm| {
            let kept = warm.kept(&plugin.name, &plugin.digest, &fingerprint(&profile))?;
            kept.downcast::<Place>().ok()
        });
        match waiting {
            Some(place) => Ok(place),
            None => Ok(Arc::new(self.sandbox.place(plugin, profile)?)),
        }
    }

    async fn run_process(
        &self,
        job: &Claimed,
        (plugin, tool): (&Plugin, &Tool),
        mut invocation: Invocation,
        place: &Arc<Place>,
        limits: &Limits,
        warm: Result<&Warm, Option<String>>,
    ) -> Ending {
        let hold = Hold {
            job: job.id.clone(),
            attempt: job.attempt,
            worker: self.worker.clone(),
        };
        let (stopper, mut stops) = mpsc::channel::<StopReason>(4);
        let _held = self.leases.hold(hold.clone(), stopper.clone());
        let stop = async move {
            match stops.recv().await {
                Some(reason) => reason,
                None => std::future::pending().await,
            }
        };
        let of_call = [
            ("SMCP_JOB_ID", OsString::from(job.id.as_str())),
            ("SMCP_ATTEMPT", job.attempt.to_string().into()),
        ];
        let of_call = of_call.map(|(name, value)| (name.into(), value));
        invocation.env.extend(of_call);
        let (sender, mut output) = mpsc::channel(64);
        let mut stream = Stream::new(&self.queue, &hold, tool, &stopper);
        let process = async {
            // Several ways to run, each with all it needs: too much for a stack.
            let run = Box::pin(async {
                match &warm {
                    Ok(warm) => {
                        let waiting = waiting(plugin, place);
                        warm.run(&waiting, &invocation, limits, stop, sender).await
                    }
                    Err(_) => process::run(&invocation, limits, stop, sender).await,
                }
            });
            match &place.group {
                Some(group) => cgroups::watched(group, limits.cpu_s, run).await,
                None => run.await,
            }
        };
        let ended = stream.follow(process, &mut output, &self.shutdown).await;
        match ended {
            Ok(ended) => {
                let outcome = verdict::outcome(&ended, stream.head(), limits);
                let outcome = secrets::redacted(stream.settled(outcome), &invocation.redactor);
                Ending {
                    outcome,
                    printed_bytes: ended.stdout_truncated.then_some(ended.stdout_bytes),
                    confinement: ended.started.then(|| Confinement {
                        start: ended.start,
                        cold_because: why_cold(plugin, warm, ended.start),
                        ..place.confinement.clone()
                    }),
                    output: stream.rest(),
                }
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "the plugin's process could not be followed");
                let message = "The plugin's process could not be followed to its end; the worker's log has the details.";
                refused(code::INTERNAL, message)
            }
        }
    }

    /// What keeps interpreters, where one may wait for calls of `tool` under `profile`; else why not, unless somebody wants
    /// it so.
    fn waits(
        &self,
        plugin: &Plugin,
        tool: &Tool,
        profile: &Profile,
    ) -> Result<&Warm, Option<String>> {
        let warm = self
            .warm
            .as_ref()
            .filter(|_| may_wait(plugin))
            .ok_or(None)?;
        if tool.sandbox.is_none() {
            return Ok(warm);
        }
        let asks = plugin.sandbox.clone().unwrap_or_default();
        // It has one interpreter, which stands in the sandbox of the plugin.
        match self.sandbox.profile(plugin, &asks) {
            Ok(of_plugin) if of_plugin == *profile => Ok(warm),
            Ok(_) | Err(_) => Err(Some("the command has a sandbox of its own".to_owned())),
        }
    }

    /// The catalogue, read again only when it has changed.
    async fn catalogue(&self) -> Result<Arc<Catalogue>, QueueError> {
        let version = persist("look at the catalogue", async || {
            self.queue.catalogue_version()
        })
        .await?;
        let known = self
            .catalogue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(known) = known.filter(|known| known.version == version) {
            return Ok(known);
        }
        let read =
            Arc::new(persist("look at the catalogue", async || self.queue.catalogue()).await?);
        *self
            .catalogue
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&read));
        Ok(read)
    }
}

/// Why the call of `plugin` was not run by a waiting interpreter, where it might have been.
fn why_cold(plugin: &Plugin, warm: Result<&Warm, Option<String>>, start: Start) -> Option<String> {
    match (start, warm) {
        (Start::Warm, _) => None,
        (Start::Cold, Ok(warm)) => warm.reason(&plugin.name),
        (Start::Cold, Err(why)) => why,
    }
}

/// Whether an interpreter may wait for calls of `plugin`: it is written in Python, and does not say otherwise.
pub(crate) fn may_wait(plugin: &Plugin) -> bool {
    let asked = plugin.runtime.as_ref().map(|runtime| runtime.warm);
    plugin.interpreter.is_some() && asked != Some(Wish::Off)
}

/// A text that is the same for the same profile alone.
fn fingerprint(profile: &Profile) -> String {
    // It has nothing that could not be written.
    serde_json::to_string(profile).unwrap_or_default()
}

/// How an interpreter waits in that place.
pub(crate) fn waiting(plugin: &Plugin, place: &Arc<Place>) -> warm::Place {
    warm::Place {
        plugin: plugin.name.clone(),
        digest: plugin.digest.clone(),
        fingerprint: fingerprint(&place.profile),
        env: place.env.clone(),
        scratch: None,
        emptied: place.writable.clone(),
        unconfined: place.policy.landlock.is_none(),
        keep: Some(Arc::clone(place) as Arc<dyn Any + Send + Sync>),
    }
}

/// What a run may take and print by its profile; `timeouts` are what its tool, its caller and rules allow.
fn limits(profile: &Profile, timeouts: [Option<Duration>; 2]) -> Limits {
    let limits = &profile.limits;
    let wall = (limits.wall_s > 0).then(|| Duration::from_secs(limits.wall_s));
    Limits {
        timeout: timeouts.into_iter().flatten().chain(wall).min(),
        stdout_max_bytes: limits.stdout_bytes(),
        stderr_tail_bytes: usize::try_from(limits.stderr_bytes()).unwrap_or(usize::MAX),
        memory_mb: limits.memory_bytes().map(|_| limits.memory_mb),
        processes: Some(limits.processes),
        cpu_s: limits.cpu_s(),
        ..Limits::default()
    }
}

/// An end without a process.
fn refused(code: &str, message: impl Into<String>) -> Ending {
    let outcome = Outcome::failed(Failure::new(code, message));
    Ending {
        outcome,
        output: Vec::new(),
        printed_bytes: None,
        confinement: None,
    }
}

fn find<'c>(catalogue: &'c Catalogue, job: &Claimed) -> Option<(&'c Plugin, &'c Tool)> {
    let plugin = catalogue
        .plugins
        .iter()
        .find(|plugin| plugin.name == job.plugin)?;
    let tool = plugin
        .tools
        .iter()
        .find(|tool| tool.name.as_str() == job.tool)?;
    Some((plugin, tool))
}

fn unreadable(error: &QueueError) -> Ending {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the catalogue cannot be read"
    );
    refused(
        code::INTERNAL,
        "The catalogue of tools cannot be read; the worker's log has the details.",
    )
}
