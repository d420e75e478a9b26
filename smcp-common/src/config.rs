//! Every setting, its default, its unit and where it comes from: file < environment < flags.
//!
//! [`Config::load`] is pure; [`Environment::of_process`] is the only place that reads the environment.

mod aliases;
mod environment;
mod file;
mod log;
mod sandbox;
mod values;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use self::file::{Automatic, File};
use self::values::{
    at_least, calls, data_dir, database, first, keys, pin, plugin_directories, plugin_timeout,
    policy, secrets_key, workers,
};
use crate::plugin::{Pinning, ToolName};
use crate::sandbox::{Require, Terms};
use crate::secret::KeyFile;

pub use self::environment::{Environment, Secret, is_setting_of, settings_prefix};
pub use self::log::{Log, LogFile, Rotation};
pub use self::variables::VARIABLES;

/// The settings of all roles.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the database, keys and unpacked plugins live.
    pub data_dir: PathBuf,
    /// The SQLite file.
    pub database: PathBuf,
    /// The key of the secrets.
    pub secrets_key: KeyFile,
    /// The listener.
    pub http: Http,
    /// Who may connect.
    pub auth: Auth,
    /// How long callers wait.
    pub calls: Calls,
    /// The most bytes of JSON that the arguments of a call may have, whatever its rules say; at least 1,024.
    pub max_arguments_bytes: usize,
    /// What the workers run.
    pub plugins: Plugins,
    /// Other names for tools of plugins; each matches `^[A-Za-z0-9_.-]{1,128}$`.
    pub aliases: BTreeMap<String, ToolName>,
    /// Which tools agents start with.
    pub profiles: ProfileSettings,
    /// Where the rules are.
    pub policy: Policy,
    /// What plugins may do.
    pub sandbox: Sandbox,
    /// Worker processes that `smcp up` keeps running.
    pub workers: Workers,
    /// How long a stopping worker waits for its job before it stops it.
    pub drain_timeout: Duration,
    /// Where checkpoints of the audit chain are kept beside the database.
    pub audit: Audit,
    /// What is logged.
    pub log: Log,
}

/// Settings of the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Name or address to bind.
    pub host: String,
    /// Port to bind; 0 takes a free one.
    pub port: u16,
    /// Larger request bodies are refused.
    pub max_body_bytes: usize,
    /// Larger request heads are refused.
    pub max_head_bytes: usize,
    /// Sessions that may be open at a time, on each transport.
    pub max_sessions: u32,
    /// Event streams that one session may have open at a time; over HTTP+SSE, calls that it may wait for.
    pub max_streams_per_session: u32,
    /// Host names accepted beside loopback names and IP addresses.
    pub allowed_hosts: Vec<String>,
    /// Origins accepted beside loopback ones.
    pub allowed_origins: Vec<String>,
}

/// How long the caller of a tool waits for its job. Whoever has waited for so long is told the job's id; the job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// A client that knows MCP Tasks gets a task after so long.
    pub task_after: Duration,
    /// A client that has asked for no progress.
    pub wait: Duration,
    /// A client that has asked for progress, whose time limit therefore starts again with each sign of life.
    pub wait_with_progress: Duration,
    /// Between two signs of life to a client that has asked for progress.
    pub heartbeat: Duration,
}

/// Settings of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The shared keys; whoever shows one is the agent `legacy`.
    pub keys: Vec<Secret>,
    /// No check at all, not even when bound to the outside.
    pub disabled: bool,
    /// Connections from this machine need no key.
    pub allow_loopback: bool,
}

/// Settings of plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins {
    /// Where plugins are looked for; `None` means `./plugins`, or the bundled ones where that does not exist.
    pub directories: Option<Vec<PathBuf>>,
    /// The time limit of tools that declare none; `None` means no limit.
    pub timeout: Option<Duration>,
    /// Names of variables that plugins get beside the built-in list; a trailing `*` matches any ending.
    pub pass_env: Vec<String>,
    /// Whether interpreters are kept waiting for the next call.
    pub warm: bool,
    /// What happens to plugins whose files are not those that were accepted.
    pub pin: Pinning,
}

/// Settings of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// What must be enforced before a plugin is run.
    pub require: Require,
    /// Whether namespaces are used where they work.
    pub namespaces: bool,
    /// What every plugin is granted, with every key.
    pub profile: Terms,
    /// What single plugins are granted, by their names; what one does not speak of is as in `profile`.
    pub plugins: BTreeMap<String, Terms>,
}

/// How many workers `smcp up` keeps running, unless an operator has changed that while it ran. Each between 1 and 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// What the environment or the command line asks for, which wins over what an operator has said before.
    pub asked: Option<u16>,
    /// What else: what the file says, or 1.
    pub default: u16,
}

/// Settings of `sanctum__tools`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileSettings {
    /// A JSON file, or a directory of them.
    pub path: Option<PathBuf>,
    /// The profile that agents start with, if there is one of that name.
    pub attach: Option<String>,
    /// Adds the profile `admin` of the tools whose names begin so.
    pub admin_prefix: Option<String>,
}

/// Settings of the audit chain's anchor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// A file to which each checkpoint is added as a line.
    pub anchor_file: Option<PathBuf>,
    /// A program and its arguments, to whose standard input each checkpoint is given; may be empty.
    pub anchor_command: Vec<String>,
}

/// Settings of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where the rules are; `None` means `policies` in the data directory, which is made where it is not there.
    pub directory: Option<PathBuf>,
    /// The zone of weekdays and times of day.
    pub zone: Tz,
    /// Whether rules may name tools that are not there yet.
    pub allow_missing: bool,
}

/// What the command line says; each value wins over the environment and the file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--host`
    pub host: Option<String>,
    /// `--port`
    pub port: Option<u16>,
    /// `--workers`
    pub workers: Option<u16>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--database`
    pub database: Option<String>,
    /// `--plugins`, several joined by `:`
    pub plugins: Option<String>,
    /// `--plugin-timeout`, seconds
    pub plugin_timeout: Option<f64>,
    /// `--require-auth`
    pub require_auth: bool,
}

/// A setting that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML, or has a key that does not exist, or a value of another type.
    #[error("{file}: {message}")]
    File {
        /// The file.
        file: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A value is out of bounds.
    #[error("{key} is '{value}', but must be {expected}")]
    Value {
        /// The variable, flag or key.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A name that cannot be given to a tool, or a tool that cannot be named.
    #[error("aliases.\"{alias}\" {problem}")]
    Alias {
        /// The alias.
        alias: String,
        /// What it, or its value, must be.
        problem: String,
    },
    /// Something of `[sandbox.profile]` or `[sandbox.plugins.NAME]` cannot be granted.
    #[error("{}", problems.join("; "))]
    Sandbox {
        /// Sentences that begin with the key.
        problems: Vec<String>,
    },
    /// There is no home directory to derive the data directory from.
    #[error("no data directory: set SMCP_DATA_DIR, or HOME")]
    NoDataDirectory,
}

impl Config {
    /// The settings that follow from a configuration file (its name and text), the environment and the flags.
    ///
    /// # Errors
    /// [`ConfigError`], which names the setting and what it may be.
    pub fn load(
        file: Option<(&str, &str)>,
        env: &Environment,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        let file = match file {
            Some((name, text)) => File::parse(text).map_err(|message| ConfigError::File {
                file: name.to_owned(),
                message,
            })?,
            None => File::default(),
        };
        let data_dir = data_dir(env, flags)?;
        Ok(Self {
            database: database(env, flags, file.database, &data_dir)?,
            secrets_key: secrets_key(env, &data_dir),
            data_dir,
            http: Http {
                host: first(
                    [flags.host.clone(), env.text("MCP_HOST"), file.http.host],
                    "127.0.0.1",
                ),
                port: flags
                    .port
                    .or(env.number("MCP_PORT", "a port between 0 and 65535")?)
                    .or(file.http.port)
                    .unwrap_or(8000),
                max_body_bytes: file.http.max_body_bytes.unwrap_or(4 * 1024 * 1024),
                max_head_bytes: at_least(
                    "http.max_head_bytes",
                    file.http.max_head_bytes.unwrap_or(64 * 1024),
                    8 * 1024,
                    "a number of bytes, at least 8192",
                )?,
                max_sessions: at_least(
                    "http.max_sessions",
                    file.http.max_sessions.unwrap_or(10_000),
                    1,
                    "a number, at least 1",
                )?,
                max_streams_per_session: at_least(
                    "http.max_streams_per_session",
                    file.http.max_streams_per_session.unwrap_or(100),
                    1,
                    "a number, at least 1",
                )?,
                allowed_hosts: env
                    .list("SMCP_ALLOWED_HOSTS", ',')
                    .or(file.http.allowed_hosts)
                    .unwrap_or_default(),
                allowed_origins: env
                    .list("SMCP_ALLOWED_ORIGINS", ',')
                    .or(file.http.allowed_origins)
                    .unwrap_or_default(),
            },
            auth: Auth {
                keys: keys(env),
                disabled: env.switch("MCP_AUTH_DISABLED")?.unwrap_or(false),
                allow_loopback: !flags.require_auth
                    && env.switch("MCP_AUTH_ALLOW_LOOPBACK")?.unwrap_or(true),
            },
            calls: calls(&file.calls)?,
            max_arguments_bytes: at_least(
                "limits.max_arguments_bytes",
                file.limits.max_arguments_bytes.unwrap_or(1024 * 1024),
                1024,
                "a number of bytes, at least 1024",
            )?,
            plugins: Plugins {
                directories: plugin_directories(env, flags, file.plugins.directories),
                timeout: plugin_timeout(env, flags, file.plugins.timeout_s)?,
                pass_env: file.plugins.pass_env.clone().unwrap_or_default(),
                warm: file.plugins.warm != Some(Automatic::Off),
                pin: pin(env, file.plugins.pin)?,
            },
            aliases: aliases::read(file.aliases)?,
            profiles: ProfileSettings {
                path: env.text("SMCP_PROFILES").map(PathBuf::from),
                attach: env.text("SMCP_ATTACH_PROFILE"),
                admin_prefix: env.text("SMCP_ADMIN_PREFIX"),
            },
            policy: policy(env, file.policy)?,
            sandbox: sandbox::read(
                file.sandbox,
                file.plugins.pass_env.as_deref().unwrap_or_default(),
            )?,
            workers: workers(env, flags, file.workers.count)?,
            drain_timeout: Duration::from_secs(file.workers.drain_timeout_s.unwrap_or(60)),
            audit: Audit {
                anchor_file: file.audit.anchor_file,
                anchor_command: file.audit.anchor_command,
            },
            log: Log {
                filter: first(
                    [
                        env.text("SMCP_LOG"),
                        env.text("MCP_LOG_LEVEL").map(|level| level.to_lowercase()),
                        file.log.filter.clone(),
                    ],
                    "info",
                ),
                json: env
                    .switch("MCP_LOG_JSON")?
                    .or(file.log.json)
                    .unwrap_or(false),
                file: log::file(env, &file.log)?,
            },
        })
    }

    /// Where the configuration file is looked for: `SMCP_CONFIG`, else `smcp.toml` here, else in the data directory.
    /// The first of the list that exists counts; one that is named by `SMCP_CONFIG` must exist.
    ///
    /// # Errors
    /// [`ConfigError::NoDataDirectory`]
    pub fn file_candidates(env: &Environment, flags: &Flags) -> Result<Vec<PathBuf>, ConfigError> {
        Ok(match env.text("SMCP_CONFIG") {
            Some(path) => vec![path.into()],
            None => vec!["smcp.toml".into(), data_dir(env, flags)?.join("smcp.toml")],
        })
    }

    /// Where the rules are.
    pub fn policy_directory(&self) -> PathBuf {
        let named = self.policy.directory.clone();
        named.unwrap_or_else(|| self.data_dir.join("policies"))
    }

    /// The key of this machine's operator, which the command line shows; made at the first start, readable by its
    /// owner alone.
    pub fn operator_key_file(&self) -> PathBuf {
        self.data_dir.join("operator.key")
    }
}

#[cfg(test)]
mod tests;
