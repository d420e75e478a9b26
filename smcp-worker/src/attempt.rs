//! ⑤ One attempt of one job: the tool is looked up, its process is run, what it says is stored as it comes, and
//! its end is put into words.

mod stream;
mod verdict;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use smcp_common::config::Environment;
use smcp_common::job::{Claimed, Failure, Outcome, code};
use smcp_common::lifecycle::Shutdown;
use smcp_common::plugin::{Plugin, Tool};
use smcp_common::queue::{Catalogue, Hold, Queue, QueueError};
use tokio::sync::mpsc;
use tracing::Instrument;

use self::stream::Stream;
use crate::lease::LeaseKeeper;
use crate::plugin::argv;
use crate::plugin::environment::environment;
use crate::plugin::process::{self, Invocation, Limits, StopReason};
use crate::warm::{Place, Warm};
use crate::work::{Ending, Run, persist};

/// Runs attempts.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) queue: Queue,
    pub(crate) worker: String,
    /// The binary that becomes the supervisor of a plugin's process tree.
    pub(crate) supervisor: PathBuf,
    /// Where attempts get their empty working directories.
    pub(crate) scratch: PathBuf,
    pub(crate) environment: Environment,
    /// Variables that plugins get beside the built-in list.
    pub(crate) pass_env: Vec<String>,
    pub(crate) leases: LeaseKeeper,
    pub(crate) shutdown: Shutdown,
    pub(crate) catalogue: Mutex<Option<Arc<Catalogue>>>,
    /// Interpreters that wait for calls; `None` where the operator wants none.
    pub(crate) warm: Option<Warm>,
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
        let argv = match argv::render(tool, &job.arguments) {
            Ok(argv) => argv,
            Err(error) => return refused(code::INVALID_ARGUMENTS, error.to_string()),
        };
        if let Some((warm, place)) = self.place(plugin) {
            let cwd = place.scratch.clone().unwrap_or_default();
            let invocation = self.invocation(job, plugin, argv, &cwd);
            return self
                .run_process(job, &invocation, Some((warm, &place)))
                .await;
        }
        let scratch = match tempfile::tempdir_in(&self.scratch) {
            Ok(scratch) => scratch,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no scratch directory"
                );
                let message =
                    "The worker cannot make a working directory; its log has the details.";
                return refused(code::INTERNAL, message);
            }
        };
        let invocation = self.invocation(job, plugin, argv, scratch.path());
        self.run_process(job, &invocation, None).await
    }

    /// Where an interpreter waits for the calls of `plugin`; `None` where each is started anew.
    fn place(&self, plugin: &Plugin) -> Option<(&Warm, Place)> {
        let warm = self.warm.as_ref().filter(|_| may_wait(plugin))?;
        let scratch = self.scratch.join("warm").join(&plugin.name);
        let mut env = environment(self.environment.variables(), &self.pass_env);
        env.push(("TMPDIR".into(), scratch.clone().into()));
        let place = Place {
            plugin: plugin.name.clone(),
            digest: plugin.digest.clone(),
            fingerprint: String::new(),
            env,
            emptied: vec![scratch.clone()],
            scratch: Some(scratch),
            unconfined: false,
        };
        Some((warm, place))
    }

    async fn run_process(
        &self,
        job: &Claimed,
        invocation: &Invocation,
        warm: Option<(&Warm, &Place)>,
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
        let limits = Limits {
            timeout: job.timeout,
            ..Limits::default()
        };
        let (sender, mut output) = mpsc::channel(64);
        let mut stream = Stream::new(&self.queue, &hold, &stopper);
        let process = async {
            match warm {
                Some((warm, place)) => warm.run(place, invocation, &limits, stop, sender).await,
                None => process::run(invocation, &limits, stop, sender).await,
            }
        };
        let ended = stream.follow(process, &mut output, &self.shutdown).await;
        match ended {
            Ok(ended) => {
                let outcome = verdict::outcome(&ended, stream.head(), &limits);
                Ending {
                    outcome,
                    output_truncated: ended.stdout_truncated,
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

    fn invocation(
        &self,
        job: &Claimed,
        plugin: &Plugin,
        argv: Vec<String>,
        scratch: &Path,
    ) -> Invocation {
        let entry = Path::new(&plugin.directory).join(&plugin.entry);
        let argv = argv.into_iter().map(OsString::from);
        let (program, args) = match &plugin.interpreter {
            Some(interpreter) => (
                interpreter.into(),
                std::iter::once(entry.into()).chain(argv).collect(),
            ),
            None => (entry, argv.collect()),
        };
        let mut env = environment(self.environment.variables(), &self.pass_env);
        env.push(("TMPDIR".into(), scratch.into()));
        env.push(("SMCP_JOB_ID".into(), job.id.as_str().into()));
        env.push(("SMCP_ATTEMPT".into(), job.attempt.to_string().into()));
        Invocation {
            supervisor: self.supervisor.clone(),
            program,
            args,
            env,
            cwd: scratch.to_owned(),
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

/// Whether an interpreter may wait for calls of `plugin`: it is written in Python, and does not say otherwise.
fn may_wait(plugin: &Plugin) -> bool {
    let asked = plugin
        .runtime
        .as_ref()
        .and_then(|runtime| runtime.get("warm"));
    plugin.interpreter.is_some() && asked.and_then(Value::as_str) != Some("off")
}

/// An end without a process.
fn refused(code: &str, message: impl Into<String>) -> Ending {
    let outcome = Outcome::failed(Failure::new(code, message));
    Ending {
        outcome,
        output: Vec::new(),
        output_truncated: false,
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
