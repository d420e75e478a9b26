//! What single settings are, where they come from in which order, and what they may be.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::split;
use super::{Calls, ConfigError, Environment, Flags, Policy, Secret, Workers, file};
use crate::plugin::Pinning;
use crate::secret::KeyFile;

/// The file of the data directory that has the key of the secrets.
const SECRETS_KEY: &str = "secrets.key";
/// The credential under which systemd hands it over.
const SECRETS_CREDENTIAL: &str = "smcp-secrets.key";

pub(super) fn first<const N: usize>(choices: [Option<String>; N], default: &str) -> String {
    choices
        .into_iter()
        .flatten()
        .next()
        .unwrap_or_else(|| default.to_owned())
}

pub(super) fn data_dir(env: &Environment, flags: &Flags) -> Result<PathBuf, ConfigError> {
    if let Some(named) = flags
        .data_dir
        .clone()
        .or_else(|| env.text("SMCP_DATA_DIR").map(PathBuf::from))
    {
        return Ok(named);
    }
    let home = || {
        env.text("HOME")
            .map(PathBuf::from)
            .ok_or(ConfigError::NoDataDirectory)
    };
    let base = match env.text("XDG_DATA_HOME") {
        Some(base) => base.into(),
        None if cfg!(target_os = "macos") => home()?.join("Library/Application Support"),
        None => home()?.join(".local/share"),
    };
    Ok(base.join("smcp"))
}

/// `SMCP_SECRETS_KEY_FILE`, else the credential that systemd hands over, else a file of the data directory.
pub(super) fn secrets_key(env: &Environment, data_dir: &Path) -> KeyFile {
    if let Some(path) = env.text("SMCP_SECRETS_KEY_FILE") {
        return KeyFile::at(path);
    }
    let own = KeyFile::at(data_dir.join(SECRETS_KEY));
    match env.text("CREDENTIALS_DIRECTORY") {
        Some(credentials) => own.or_credential(Path::new(&credentials).join(SECRETS_CREDENTIAL)),
        None => own,
    }
}

pub(super) fn database(
    env: &Environment,
    flags: &Flags,
    file: Option<String>,
    data_dir: &Path,
) -> Result<PathBuf, ConfigError> {
    let Some(url) = flags
        .database
        .clone()
        .or_else(|| env.text("SMCP_DATABASE_URL"))
        .or(file)
    else {
        return Ok(data_dir.join("smcp.db"));
    };
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"))
        .unwrap_or(&url);
    if path.is_empty() || path.contains("://") {
        let expected = "a file, or sqlite:// and a file";
        return Err(ConfigError::Value {
            key: "SMCP_DATABASE_URL (or --database)",
            value: url,
            expected,
        });
    }
    Ok(path.into())
}

pub(super) fn keys(env: &Environment) -> Vec<Secret> {
    let one = env
        .text("MCP_API_KEY")
        .map(|key| key.trim().to_owned())
        .filter(|key| !key.is_empty());
    one.into_iter()
        .chain(env.list("MCP_API_KEYS", ',').unwrap_or_default())
        .map(Secret::new)
        .collect()
}

pub(super) fn plugin_directories(
    env: &Environment,
    flags: &Flags,
    file: Option<Vec<String>>,
) -> Option<Vec<PathBuf>> {
    let named = flags
        .plugins
        .as_deref()
        .map(|text| split(text, ':'))
        .or_else(|| env.list("MCP_PLUGINS_DIR", ':'));
    let directories = named.or(file)?;
    (!directories.is_empty()).then(|| directories.into_iter().map(PathBuf::from).collect())
}

pub(super) fn plugin_timeout(
    env: &Environment,
    flags: &Flags,
    file: Option<f64>,
) -> Result<Option<Duration>, ConfigError> {
    const DEFAULT_S: f64 = 300.0;
    let seconds = flags
        .plugin_timeout
        .or(env.number("MCP_PLUGIN_TIMEOUT", "a number of seconds, 0 for no limit")?)
        .or(file)
        .unwrap_or(DEFAULT_S);
    if seconds <= 0.0 {
        return Ok(None);
    }
    let expected = "a number of seconds, 0 for no limit";
    let timeout = Duration::try_from_secs_f64(seconds).map_err(|_| ConfigError::Value {
        key: "MCP_PLUGIN_TIMEOUT",
        value: seconds.to_string(),
        expected,
    })?;
    Ok(Some(timeout.max(Duration::from_millis(1))))
}

pub(super) fn pin(env: &Environment, file: Option<Pinning>) -> Result<Pinning, ConfigError> {
    let Some(value) = env.text("SMCP_PLUGINS_PIN") else {
        return Ok(file.unwrap_or_default());
    };
    match value.trim() {
        "off" => Ok(Pinning::Off),
        "warn" => Ok(Pinning::Warn),
        "require" => Ok(Pinning::Require),
        _ => Err(ConfigError::Value {
            key: "SMCP_PLUGINS_PIN",
            value,
            expected: "off, warn or require",
        }),
    }
}

pub(super) fn calls(file: &file::Calls) -> Result<Calls, ConfigError> {
    let seconds = |key, given: Option<f64>, default: f64| {
        let seconds = given.unwrap_or(default);
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if !duration.is_zero() => Ok(duration),
            Ok(_) | Err(_) => Err(ConfigError::Value {
                key,
                value: seconds.to_string(),
                expected: "a number of seconds above 0",
            }),
        }
    };
    Ok(Calls {
        task_after: seconds("calls.task_after_s", file.task_after_s, 1.0)?,
        wait: seconds("calls.wait_s", file.wait_s, 50.0)?,
        wait_with_progress: seconds(
            "calls.wait_with_progress_s",
            file.wait_with_progress_s,
            1_800.0,
        )?,
        heartbeat: seconds("calls.heartbeat_s", file.heartbeat_s, 10.0)?,
    })
}

pub(super) fn at_least<N: Copy + PartialOrd + ToString>(
    key: &'static str,
    value: N,
    least: N,
    expected: &'static str,
) -> Result<N, ConfigError> {
    if value >= least {
        return Ok(value);
    }
    Err(ConfigError::Value {
        key,
        value: value.to_string(),
        expected,
    })
}

pub(super) fn workers(
    env: &Environment,
    flags: &Flags,
    file: Option<u16>,
) -> Result<Workers, ConfigError> {
    let expected = "a number between 1 and 256";
    let within = |count: u16| {
        if (1..=256).contains(&count) {
            Ok(count)
        } else {
            Err(ConfigError::Value {
                key: "SMCP_WORKERS (or --workers)",
                value: count.to_string(),
                expected,
            })
        }
    };
    let asked = flags.workers.or(env.number("SMCP_WORKERS", expected)?);
    Ok(Workers {
        asked: asked.map(within).transpose()?,
        default: within(file.unwrap_or(1))?,
    })
}

pub(super) fn policy(env: &Environment, file: file::Policy) -> Result<Policy, ConfigError> {
    let zone = env.text("SMCP_POLICY_ZONE").or(file.zone);
    let zone = zone.unwrap_or_else(|| "UTC".to_owned());
    Ok(Policy {
        directory: env
            .text("SMCP_POLICIES")
            .map(PathBuf::from)
            .or(file.directory),
        zone: zone.parse().map_err(|_| ConfigError::Value {
            key: "policy.zone (SMCP_POLICY_ZONE)",
            value: zone,
            expected: "the name of a time zone such as Europe/Berlin",
        })?,
        allow_missing: file.allow_missing.unwrap_or(false),
    })
}
