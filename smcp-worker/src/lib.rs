//! The SMCP worker: claims jobs, runs plugin processes, and records how they ended.
//!
//! It listens on no port and decides no policy; both are the API's. In the order of a job's way through it:
//! [`work`] claims (④), `attempt` runs one attempt (⑤), [`plugin::process`] its process tree (⑥) below the
//! supervisor of [`mod@sandbox`], and `work` commits the end (⑦).

mod anchor;
mod attempt;
#[cfg(target_os = "linux")]
mod changes;
pub mod doctor;
mod drain;
mod duties;
mod lease;
pub mod plugin;
pub mod presence;
mod proxy;
pub mod sandbox;
mod scan;
mod thread;
mod upkeep;
pub mod warm;
pub mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smcp_common::audit::{DigestKey, Signer};
use smcp_common::clock::SystemClock;
use smcp_common::config::{Config, Environment};
use smcp_common::lifecycle::Shutdown;
use smcp_common::plugin::Pinning;
use smcp_common::policy::Keeper;
use smcp_common::queue::{Commit, Durability, OpenError, Options, Queue, QueueError, Wake};

use self::attempt::Runner;
use self::duties::Audit;
use self::lease::LeaseKeeper;
use self::plugin::catalogue::Scanner;
use self::plugin::digest::Digests;
use self::presence::{Presence, settle_the_dead};
use self::sandbox::placing::Sandbox;
use self::warm::Warm;

/// The running program itself: an upgrade on disk cannot mix two versions.
const SUPERVISOR: &str = "/proc/self/exe";

/// How long a stopping worker tries to settle what it holds; then the next one does. `smcp up` kills it after 15 s.
const FAREWELL: Duration = Duration::from_secs(5);

/// A worker that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot announce itself.
    #[error("the worker cannot be registered")]
    Register(#[source] QueueError),
    /// A file or directory that it needs cannot be made.
    #[error("{what} {path}")]
    Files {
        /// What it could not do.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Runs a worker until `shutdown` asks for its end, or an operator does. `managed` says that it belongs to `smcp up`, which
/// starts and ends workers so that there are as many as wanted.
///
/// Made for a current-thread runtime: one job at a time, committed on the thread that claims.
///
/// # Errors
/// [`WorkerError`] when it cannot start; once it runs, what goes wrong is logged and tried again.
pub async fn run(
    config: Config,
    environment: Environment,
    managed: bool,
    shutdown: Shutdown,
) -> Result<(), WorkerError> {
    let clock = Arc::new(SystemClock);
    let files = |what, path: &Path| {
        let path = path.to_owned();
        move |source| WorkerError::Files { what, path, source }
    };
    std::fs::create_dir_all(&config.data_dir)
        .map_err(files("cannot create the data directory", &config.data_dir))?;
    let digest_key = DigestKey::read_or_make(&config.data_dir).map_err(files(
        "cannot use the key audit-digest.key in",
        &config.data_dir,
    ))?;
    let signer = Signer::read_or_make(&config.data_dir).map_err(files(
        "cannot use the key audit-signing.key in",
        &config.data_dir,
    ))?;
    let options = Options {
        path: config.database.clone(),
        durability: Durability::Full,
        commit: Commit::Inline,
        wake: Wake::Auto,
        check: false,
        digest_key,
        secrets_key: config.secrets_key.clone(),
    };
    let queue = Queue::open(&options, clock.clone())?;
    let presence = Presence::begin(&config.database).map_err(files(
        "cannot make the worker's directory beside",
        &config.database,
    ))?;
    let (worker, host, version) = (presence.id().to_owned(), host(), env!("CARGO_PKG_VERSION"));
    let sandbox = sandbox(&config, &environment, &presence)
        .await
        .map_err(files(
            "cannot find out how plugins can be confined, below",
            &presence.scratch(),
        ))?;
    let registration = work::persist("registration", || {
        queue.register_worker(&worker, &host, version, managed, Some(sandbox.report()))
    });
    tokio::select! {
        registered = registration => registered.map_err(WorkerError::Register)?,
        // The database may be locked for long, and nothing has begun.
        () = shutdown.drain.cancelled() => {
            presence.end();
            return Ok(());
        }
    }
    if let Err(error) = settle_the_dead(&queue, presence.siblings()).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "jobs of dead workers are settled later"
        );
    }
    let unwatched = Options {
        wake: Wake::Never,
        ..options.clone()
    };
    let leases = LeaseKeeper::start(&unwatched, clock.clone(), &presence)?;
    duties::start(
        &options,
        clock,
        worker.clone(),
        presence.siblings().to_owned(),
        config.plugins.timeout,
        Audit::new(signer, &config.audit),
        shutdown.clone(),
    )?;
    let directories = directories(&config).map_err(files(
        "cannot unpack the bundled plugins below",
        &config.data_dir,
    ))?;
    let sandbox = Arc::new(sandbox);
    let digests = Arc::new(Digests::new(environment.clone()));
    let scanner = Scanner::new(
        SUPERVISOR.into(),
        environment,
        Arc::clone(&sandbox),
        config.plugins.pin,
        Arc::clone(&digests),
    );
    // Before the first scan, so that nothing is changed unseen.
    #[cfg(target_os = "linux")]
    if let Some(changes) = changes::Changes::watch(&directories).await {
        tokio::spawn(changes.run(queue.clone(), worker.clone(), shutdown.clone()));
    }
    tokio::spawn(drain::watch(
        queue.clone(),
        worker.clone(),
        shutdown.clone(),
    ));
    let (first, scanned) = tokio::sync::oneshot::channel();
    let scans = tokio::spawn(scan::run(
        queue.clone(),
        worker.clone(),
        scanner,
        directories,
        shutdown.clone(),
        first,
    ));
    let required = config.plugins.pin == Pinning::Require;
    if required {
        // What was accepted at first use is known only then: a job that waits already would be refused before.
        tokio::select! {
            _ = scanned => {}
            () = shutdown.drain.cancelled() => {}
        }
    }

    tracing::info!(
        worker.id = worker,
        worker.pid = std::process::id(),
        "worker started"
    );
    let runner = Runner {
        queue: queue.clone(),
        worker: worker.clone(),
        supervisor: SUPERVISOR.into(),
        sandbox,
        leases,
        shutdown: shutdown.clone(),
        catalogue: Mutex::default(),
        rules: Keeper::new(queue.clone(), Vec::new()),
        warm: config.plugins.warm.then(Warm::default),
        required: required.then_some(digests),
    };
    let runner = Arc::new(runner);
    work::run(queue.clone(), worker.clone(), Arc::clone(&runner), shutdown).await;
    if let Some(warm) = &runner.warm {
        warm.close().await;
    }
    scans.abort();
    let farewell = work::persist("farewell", || queue.release_all(&worker));
    let released = tokio::time::timeout(FAREWELL, farewell).await;
    match released.unwrap_or(Err(QueueError::Busy)) {
        Ok(jobs) => {
            presence.end();
            if jobs == 0 {
                tracing::info!(worker.id = worker, "worker stopped");
            } else {
                tracing::warn!(
                    worker.id = worker,
                    jobs,
                    "worker stopped; its unfinished jobs are settled"
                );
            }
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(
                worker.id = worker,
                error,
                "worker stopped; its jobs are settled by the next one"
            );
        }
    }
    Ok(())
}

/// What plugins are confined with, as it was found.
async fn sandbox(
    config: &Config,
    environment: &Environment,
    presence: &Presence,
) -> std::io::Result<Sandbox> {
    let scratch = presence.scratch();
    let mut sandbox = Sandbox::open(
        Path::new(SUPERVISOR),
        config,
        environment,
        &scratch,
        presence.id(),
    )
    .await?;
    if sandbox.needs_open_scratch() {
        sandbox.move_scratch(presence.open_scratch()?);
    }
    let report = sandbox.report();
    if let Some(refusal) = &report.refusal {
        tracing::error!(sandbox.tier = %report.tier, "no plugin is run: {refusal}");
    } else {
        tracing::info!(sandbox.tier = %report.tier, "plugins are confined");
    }
    Ok(sandbox)
}

/// Where plugins are looked for: as configured, else `./plugins`, else the bundled ones.
fn directories(config: &Config) -> std::io::Result<Vec<PathBuf>> {
    let directories = plugin_directories(config);
    let bundled = [plugin::bundled::directory(&config.data_dir)];
    if config.plugins.directories.is_none() && directories == bundled {
        plugin::bundled::unpack(&config.data_dir)?;
    }
    Ok(directories)
}

/// Where a worker with these settings looks for plugins; without making anything there.
pub fn plugin_directories(config: &Config) -> Vec<PathBuf> {
    let here = PathBuf::from("plugins");
    match &config.plugins.directories {
        Some(directories) => directories.clone(),
        None if here.is_dir() => vec![here],
        None => vec![plugin::bundled::directory(&config.data_dir)],
    }
}

/// The name of this machine, as workers announce it.
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
