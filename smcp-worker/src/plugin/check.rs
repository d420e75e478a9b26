//! Trying a plugin out for its author, without a worker: described, confined and kept waiting as one would.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use smcp_common::config::{Config, Environment};
use smcp_common::plugin::{Pinning, Plugin, Problem};
use smcp_common::queue::{Pinned, Pins};
use smcp_common::sandbox::{Confinement, Profile};

use super::catalogue::{Before, Scanner};
use super::digest::Digests;
use crate::attempt::{may_wait, waiting};
use crate::sandbox::placing::{PlacingError, Sandbox};
use crate::warm::Warm;

/// What was found out.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// What the plugin says of itself, and what is wrong with it.
    #[serde(flatten)]
    pub plugin: Plugin,
    /// What its calls may do here, of what it asks for; `None` where they would be refused.
    pub profile: Option<Profile>,
    /// What confines them, its run for `--describe` included, which reaches nobody.
    pub confinement: Option<Confinement>,
    /// How its calls are started.
    pub starts: Option<Starts>,
}

/// How the calls of a plugin are started.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Starts {
    /// An interpreter waits for them that has imported these modules.
    Warm {
        /// By name, in the order of their imports.
        imported: Vec<String>,
    },
    /// Each anew.
    Cold {
        /// Why, in a sentence without its full stop.
        because: String,
    },
}

/// Tries out the plugin in `directory`. Its commands are not run: it is asked what it offers, and its imports are done.
///
/// # Errors
/// When a sandbox cannot be prepared.
pub async fn check(
    directory: &Path,
    config: &Config,
    environment: &Environment,
    supervisor: &Path,
) -> io::Result<Checked> {
    let passable = fs::Permissions::from_mode(0o711);
    let mut builder = tempfile::Builder::new();
    let scratch = builder
        .prefix("smcp-check-")
        .permissions(passable)
        .tempdir()?;
    let id = format!("p-{}", std::process::id());
    let sandbox = Sandbox::open(supervisor, config, environment, scratch.path(), &id).await?;
    let sandbox = Arc::new(sandbox);
    let scanner = Scanner::new(
        supervisor.to_owned(),
        environment.clone(),
        Arc::clone(&sandbox),
        Pinning::Off,
        Arc::new(Digests::new(environment.clone())),
    );
    let path = std::path::absolute(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (pins, mut pinned) = (Pins::default(), Pinned::default());
    let before = Before {
        plugins: &[],
        pins: &pins,
    };
    let plugin = scanner.plugin(name.into_owned(), &path, before, &mut pinned);
    let mut checked = Checked {
        plugin: plugin.await,
        profile: None,
        confinement: None,
        starts: None,
    };
    if !checked.plugin.tools.is_empty() {
        place(&mut checked, &sandbox, config, supervisor).await;
    }
    Ok(checked)
}

/// Finds the plugin the place that its calls would have.
async fn place(checked: &mut Checked, sandbox: &Sandbox, config: &Config, supervisor: &Path) {
    let plugin = &checked.plugin;
    let asks = plugin.sandbox.clone().unwrap_or_default();
    let placed = sandbox.profile(plugin, &asks).and_then(|profile| {
        checked.profile = Some(profile.clone());
        sandbox.place(plugin, profile)
    });
    let place = match placed {
        Ok(place) => Arc::new(place),
        Err(error @ (PlacingError::Unavailable(_) | PlacingError::Short(_))) => {
            checked
                .plugin
                .problems
                .push(Problem::from(error.to_string()));
            return;
        }
    };
    checked.confinement = Some(place.confinement.clone());
    let cold = |because: &str| Starts::Cold {
        because: because.to_owned(),
    };
    checked.starts = Some(if plugin.interpreter.is_none() {
        cold("it is no Python program that SMCP could keep waiting")
    } else if !may_wait(plugin) {
        cold("it asks for that: runtime.warm is \"off\"")
    } else if !config.plugins.warm {
        cold("plugins.warm is \"off\" in smcp.toml")
    } else {
        let start = place.start(plugin, supervisor);
        match Warm::default()
            .rehearse(&waiting(plugin, &place), &start)
            .await
        {
            Ok(imported) => Starts::Warm { imported },
            Err(because) => Starts::Cold { because },
        }
    });
}
