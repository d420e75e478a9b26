//! The SMCP API: what agents and operators talk to. It records what is to be done and tells what became of it;
//! it never runs a plugin.
//!
//! In the order of a call: [`router`] and [`auth`] let it in, [`mcp::handler`] takes it (①), [`policy`] decides (②),
//! [`submit`](mod@submit) records the job (③), [`watch`] hears of its end (⑧), and [`answer`] tells it (⑨).

pub mod answer;
pub mod app;
mod approval;
mod approval_link;
pub mod auth;
pub mod bind;
pub mod body;
pub mod builtin;
pub mod caller;
pub mod code;
mod connection;
pub mod denial;
pub mod dry_run;
pub mod gate;
pub mod health;
pub mod http_config;
pub mod mcp;
pub mod operator_key;
pub mod origin;
pub mod output_range;
pub mod output_schema;
pub mod policy;
pub mod problem;
pub mod profiles;
pub mod refusal;
pub mod retry_policy;
pub mod router;
pub mod rules;
pub mod serve;
mod signing;
pub mod stored_keys;
pub mod strangers;
pub mod submit;
pub mod tools;
mod waiting;
pub mod watch;
pub mod workflow;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use smcp_common::audit::{DigestKey, Signer};
use smcp_common::clock::{Clock as _, SystemClock};
use smcp_common::config::{Config, ConfigError, Secret};
use smcp_common::key_file::{self, Key};
use smcp_common::lifecycle::Shutdown;
use smcp_common::queue::{
    Commit, Durability, OpenError, Options, Queue, QueueError, Wake, any_key_is_live,
};
use tokio_util::sync::CancellationToken;

use self::app::{App, Counters};
use self::auth::{ApiKey, AuthConfig, LEGACY, OPERATOR};
use self::health::{NotReady, Readiness};
use self::http_config::{HttpConfig, Limits};
use self::mcp::announce::Announcer;
use self::mcp::handler::Handler;
use self::profiles::{Profiles, ProfilesError};
use self::rules::{Rules, RulesError};
use self::serve::BindError;
use self::strangers::Strangers;
use self::tools::ToolTable;
use self::watch::Watch;

/// An API that cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Its database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its database cannot be read.
    #[error("the queue cannot be read")]
    Queue(#[from] QueueError),
    /// It may not or cannot listen there.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An alias cannot be given.
    #[error(transparent)]
    Alias(#[from] ConfigError),
    /// An allowed host or origin cannot be read.
    #[error(transparent)]
    Origin(#[from] origin::BadEntry),
    /// A profile file cannot be used.
    #[error(transparent)]
    Profiles(#[from] ProfilesError),
    /// Its rules cannot be accepted, and there are none in force.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A file that it needs cannot be made.
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

impl ApiError {
    /// The exit status of a process that ends by it: 2 where a guard or bad settings refuse, else 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Bind(BindError::Refused(_))
            | Self::Alias(_)
            | Self::Origin(_)
            | Self::Profiles(_)
            | Self::Rules(_) => 2,
            Self::Open(_) | Self::Queue(_) | Self::Bind(_) | Self::Files { .. } => 1,
        }
    }
}

/// Runs the API until `shutdown` asks for its end; `announce` hears where it listens.
///
/// # Errors
/// [`ApiError`] when it cannot start.
pub async fn run(
    config: Config,
    shutdown: Shutdown,
    announce: impl FnOnce(SocketAddr),
) -> Result<(), ApiError> {
    builtin::check_aliases(&config.aliases)?;
    let files = |what, path: &std::path::Path| {
        let path = path.to_owned();
        move |source| ApiError::Files { what, path, source }
    };
    std::fs::create_dir_all(&config.data_dir)
        .map_err(files("cannot create the data directory", &config.data_dir))?;
    let key_file = config.operator_key_file();
    let operator_key = operator_key::read_or_make(&key_file)
        .map_err(files("cannot make the operator's key", &key_file))?;
    let http = http_config(&config, &operator_key);
    // Before the database is touched: a second API on this port must not do anything.
    let bound = serve::bind(&http).await?;

    let app = open(&config, true, shutdown.drain.clone())?;
    let _rules = rules::start(&app).await?;
    let readiness = Readiness::new({
        let app = Arc::clone(&app);
        move || std::future::ready(not_ready(&app))
    });
    let handler = {
        let app = Arc::clone(&app);
        move || Handler::new(Arc::clone(&app))
    };
    let router = router::router(&http, &app, handler, readiness)?;
    announce(bound.address());
    tracing::info!(address = %bound.address(), "API started");
    bound.serve(router, shutdown.drain).await;
    tracing::info!("API stopped");
    Ok(())
}

/// Opens the queue and reads what every call goes by; must be called inside a tokio runtime. `check` looks through the
/// pages of the database first, which takes the longer the larger it is; `drain` tells callers who wait for a job that
/// this process is to stop. The rules are those that were in force last until [`rules::start`] looks at the directory.
///
/// # Errors
/// [`ApiError`] for a database or a profile file that cannot be used.
pub fn open(config: &Config, check: bool, drain: CancellationToken) -> Result<Arc<App>, ApiError> {
    let settings = &config.profiles;
    let profiles = Profiles::load(
        settings.path.as_deref(),
        settings.attach.as_deref(),
        settings.admin_prefix.as_deref(),
    )?;
    let files = |what| {
        let path = config.data_dir.clone();
        move |source| ApiError::Files { what, path, source }
    };
    let digest_key = DigestKey::read_or_make(&config.data_dir)
        .map_err(files("cannot use the key audit-digest.key in"))?;
    let signer = Signer::read_or_make(&config.data_dir)
        .map_err(files("cannot use the key audit-signing.key in"))?;
    let clock = Arc::new(SystemClock);
    let options = Options {
        path: config.database.clone(),
        durability: Durability::Full,
        commit: Commit::Grouped,
        wake: Wake::Auto,
        check,
        digest_key,
        secrets_key: config.secrets_key.clone(),
    };
    let queue = Queue::open(&options, clock.clone())?;
    tokio::spawn(signing::run(queue.clone(), signer.clone(), drain.clone()));
    Ok(Arc::new(App {
        watch: Watch::start(queue.clone())?,
        announcer: Announcer::start(queue.clone())?,
        tools: ToolTable::new(config.aliases.clone()),
        rules: Rules::new(queue.clone(), config),
        profiles,
        strangers: Strangers::new(queue.clone()),
        link_key: link_key(config)?,
        audit_key: signer.public().clone(),
        sandbox: config.sandbox.clone(),
        default_timeout: config.plugins.timeout,
        default_workers: config.workers.default,
        max_arguments_bytes: config.max_arguments_bytes,
        calls: config.calls,
        drain,
        started_at: clock.now(),
        counters: Counters::default(),
        queue,
    }))
}

/// The key that links are signed with.
fn link_key(config: &Config) -> Result<Key, ApiError> {
    let path = config.data_dir.join("approval-link.key");
    key_file::read_or_make(&path).map_err(|source| ApiError::Files {
        what: "cannot use the key of approval links,",
        path,
        source,
    })
}

fn http_config(config: &Config, operator_key: &str) -> HttpConfig {
    let legacy = config
        .auth
        .keys
        .iter()
        .map(Secret::reveal)
        .map(|key| ApiKey::new(LEGACY, key));
    let operator = ApiKey::new(OPERATOR, operator_key);
    HttpConfig {
        host: config.http.host.clone(),
        port: config.http.port,
        allowed_hosts: config.http.allowed_hosts.clone(),
        allowed_origins: config.http.allowed_origins.clone(),
        auth: AuthConfig {
            keys: legacy.chain([operator]).collect(),
            disabled: config.auth.disabled,
            allow_loopback: config.auth.allow_loopback,
            has_stored_keys: has_stored_keys(config),
        },
        limits: Limits {
            max_body_bytes: config.http.max_body_bytes,
            max_head_bytes: config.http.max_head_bytes,
            max_sessions: config.http.max_sessions,
            max_streams_per_session: config.http.max_streams_per_session,
            ..Limits::default()
        },
    }
}

/// Whether an added agent has a key. Asked only where no other agent has one, as it is for the bind guard alone.
fn has_stored_keys(config: &Config) -> bool {
    // A database that is not there yet has none; one that cannot be read is told of when it is opened.
    config.auth.keys.is_empty()
        && any_key_is_live(&config.database, SystemClock.now()).unwrap_or(false)
}

fn not_ready(app: &App) -> Vec<NotReady> {
    match app.queue.catalogue_version() {
        Ok(_) => Vec::new(),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "not ready: the database cannot be read"
            );
            vec![NotReady {
                code: "database",
                message: "the database cannot be read".to_owned(),
            }]
        }
    }
}
