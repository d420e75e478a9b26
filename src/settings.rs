//! The settings of this process: configuration file < environment < flags.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use smcp_common::config::{Config, Environment, Flags};

use crate::cli::{Api, Doctor, Listener, Stdio, Storage, Up, Worker};
use crate::failure::BadUsage;

/// What a process goes by.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The settings themselves.
    pub(crate) config: Config,
    /// The environment that they were read from.
    pub(crate) environment: Environment,
}

/// Reads the settings.
///
/// # Errors
/// A configuration file that cannot be read, or a setting that cannot be used; both are named.
pub(crate) fn load(flags: &Flags) -> anyhow::Result<Settings> {
    let environment = Environment::of_process();
    let mut file = None;
    for path in Config::file_candidates(&environment, flags)? {
        if let Some(text) = read(&path, environment.text("SMCP_CONFIG").is_some())? {
            file = Some((path.display().to_string(), text));
            break;
        }
    }
    let file = file
        .as_ref()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let config = Config::load(file, &environment, flags)?;
    Ok(Settings {
        config,
        environment,
    })
}

/// The text of a configuration file; `None` where it does not exist and need not.
fn read(path: &Path, must_exist: bool) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => Ok(None),
        Err(error) => {
            let why = anyhow!(BadUsage(error.to_string()));
            Err(why)
                .with_context(|| format!("cannot read the configuration file {}", path.display()))
        }
    }
}

impl From<&Storage> for Flags {
    fn from(storage: &Storage) -> Self {
        Self {
            data_dir: storage.data_dir.clone(),
            database: storage.database.clone(),
            ..Self::default()
        }
    }
}

impl From<&Api> for Flags {
    fn from(options: &Api) -> Self {
        with_listener(Self::from(&options.storage), &options.listener)
    }
}

impl From<&Doctor> for Flags {
    fn from(options: &Doctor) -> Self {
        Self {
            plugins: options.plugins.directories.clone(),
            ..Self::from(&options.storage)
        }
    }
}

impl From<&Worker> for Flags {
    fn from(options: &Worker) -> Self {
        Self {
            plugins: options.plugins.directories.clone(),
            plugin_timeout: options.plugin_timeout,
            ..Self::from(&options.storage)
        }
    }
}

impl From<&Up> for Flags {
    fn from(options: &Up) -> Self {
        let flags = with_listener(Self::from(&options.storage), &options.listener);
        Self {
            workers: options.workers,
            plugins: options.plugins.directories.clone(),
            ..flags
        }
    }
}

impl From<&Stdio> for Flags {
    fn from(options: &Stdio) -> Self {
        Self {
            plugins: options.plugins.directories.clone(),
            plugin_timeout: options.plugin_timeout,
            ..Self::from(&options.storage)
        }
    }
}

fn with_listener(flags: Flags, listener: &Listener) -> Flags {
    let host = if listener.allow_external {
        Some("0.0.0.0".to_owned())
    } else {
        listener.host.clone()
    };
    Flags {
        host,
        port: listener.port,
        plugin_timeout: listener.plugin_timeout,
        require_auth: listener.require_auth,
        ..flags
    }
}
