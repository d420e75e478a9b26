//! Finding plugins: which directories hold one, whether it has changed, and what it offers. A worker does this, as
//! to describe a plugin is to run its code.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use smcp_common::canonical::{self, hex};
use smcp_common::config::{Environment, settings_prefix};
use smcp_common::plugin::{self, Integrity, Pinning, Plugin, Problem, Sight};
use smcp_common::queue::{NewPin, Pinned, Pins};
use smcp_common::sandbox::{Network, Profile, Terms};

use super::bundled;
use super::describe::describe;
use super::digest::Digests;
use super::interpreter::Interpreters;
use crate::sandbox::placing::{PlacingError, Sandbox};

/// Names that the built-in tools have taken.
const RESERVED: [&str; 14] = [
    "agents",
    "approvals",
    "audit",
    "health",
    "jobs",
    "plugins",
    "policy",
    "queues",
    "sanctum",
    "schedules",
    "secrets",
    "settings",
    "workers",
    "workflows",
];

/// A plugin that names other files each time is asked no more often; the next scan finds it changed.
const MAX_ROUNDS: usize = 2;

/// Finds and describes plugins.
#[derive(Debug)]
pub struct Scanner {
    supervisor: PathBuf,
    interpreters: Interpreters,
    environment: Environment,
    sandbox: Arc<Sandbox>,
    pinning: Pinning,
    digests: Arc<Digests>,
}

/// What was known before a scan.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The plugins of the scan before.
    pub plugins: &'a [Plugin],
    /// What has been accepted.
    pub pins: &'a Pins,
}

/// What a scan found.
#[derive(Debug)]
pub struct Found {
    /// The plugins, refused ones included, by name.
    pub plugins: Vec<Plugin>,
    /// What is wrong with the directories themselves.
    pub problems: Vec<String>,
    /// What was accepted and looked at by the way; `None` where plugins are not pinned.
    pub pinned: Option<Pinned>,
}

impl Scanner {
    /// A scanner that runs plugins below `supervisor` in places of `sandbox`, by interpreters that `environment` names.
    pub(crate) fn new(
        supervisor: PathBuf,
        environment: Environment,
        sandbox: Arc<Sandbox>,
        pinning: Pinning,
        digests: Arc<Digests>,
    ) -> Self {
        Self {
            interpreters: Interpreters::new(supervisor.clone()),
            supervisor,
            environment,
            sandbox,
            pinning,
            digests,
        }
    }

    /// Looks through `directories`, in order; of two plugins of one name the first counts. A plugin that was known
    /// with the same digest is not run, nor is one that is quarantined, unless an operator wants to look at it.
    pub async fn scan(&self, directories: &[PathBuf], before: Before<'_>) -> Found {
        let mut found = BTreeMap::new();
        let mut pinned = Pinned::default();
        let mut problems = Vec::new();
        for directory in directories {
            for (name, path) in candidates(directory, &mut problems) {
                if let Some(first) = found.get(&name) {
                    let Plugin { directory, .. } = first;
                    problems.push(format!(
                        "{} is passed over: plugin {name} is taken from {directory}",
                        path.display()
                    ));
                    continue;
                }
                let plugin = self.plugin(name.clone(), &path, before, &mut pinned).await;
                found.insert(name, plugin);
            }
        }
        let mut plugins: Vec<_> = found.into_values().collect();
        refuse_shared_names(&mut plugins);
        Found {
            plugins,
            problems,
            pinned: (self.pinning != Pinning::Off).then_some(pinned),
        }
    }

    pub(super) async fn plugin(
        &self,
        name: String,
        path: &Path,
        before: Before<'_>,
        pinned: &mut Pinned,
    ) -> Plugin {
        let mut plugin = Plugin::found(name, path.to_string_lossy());
        if let Err(problem) = self.identify(&mut plugin, path, before).await {
            plugin.problems.push(Problem::from(problem));
            return plugin;
        }
        let (integrity, sight) = self.judge(&plugin, before.pins);
        if is_quarantined(integrity.as_ref())
            && before.pins.reviews.get(&plugin.name) != Some(&plugin.digest)
        {
            plugin.integrity = integrity;
            return plugin;
        }
        let now = self.known_or_described(plugin.clone(), before).await;
        // A plugin that names other files than it did before is another one.
        let (integrity, sight) = if now.digest == plugin.digest {
            (integrity, sight)
        } else {
            self.judge(&now, before.pins)
        };
        if is_quarantined(integrity.as_ref()) {
            let bare = Plugin {
                digest: now.digest.clone(),
                files: now.files.clone(),
                integrity,
                ..plugin.clone()
            };
            if now.digest == plugin.digest {
                pinned.reviewed.push(now);
            }
            return bare;
        }
        if let Some(sight) = sight {
            let plugin = &now;
            let replaced = before.pins.accepted.get(&plugin.name);
            pinned.accepted.push(NewPin {
                plugin: plugin.name.clone(),
                sight,
                replaced: replaced.map(|pin| pin.digest.clone()),
            });
        }
        Plugin { integrity, ..now }
    }

    /// The plugin as it has described itself before where it has not changed since, else as it does now.
    async fn known_or_described(&self, plugin: Plugin, before: Before<'_>) -> Plugin {
        let of = |plugin: &Plugin| {
            let Plugin {
                name,
                digest,
                directory,
                described_by,
                ..
            } = plugin;
            [name, digest, directory, described_by].map(Clone::clone)
        };
        let accepted = before.pins.accepted.get(&plugin.name);
        let accepted = accepted.and_then(|pin| pin.described.as_ref());
        let mut known = before.plugins.iter().chain(accepted);
        let known = known.find(|known| of(known) == of(&plugin) && !known.is_quarantined());
        match known {
            // What it is granted may have changed though it has not.
            Some(known) => Plugin {
                withheld: self.sandbox.withheld(known),
                ..known.clone()
            },
            None => self.described(plugin).await,
        }
    }

    fn judge(&self, plugin: &Plugin, pins: &Pins) -> (Option<Integrity>, Option<Sight>) {
        let accepted = pins.accepted.get(&plugin.name);
        let bundled = bundled::digest(&plugin.name, plugin.interpreter.as_deref());
        self.pinning.judge(plugin::Found {
            digest: &plugin.digest,
            accepted: accepted.map(|pin| pin.digest.as_str()),
            first_use: pins.since.is_none(),
            bundled: bundled.as_ref() == Some(&plugin.digest),
        })
    }

    /// Runs a plugin to ask it what it offers. Where it names other files as a part of it than are known, its digest is made
    /// anew, and it is asked once more: what it says must not be older than its digest.
    async fn described(&self, mut plugin: Plugin) -> Plugin {
        let mut told = self.told(plugin.clone()).await;
        for _ in 0..MAX_ROUNDS {
            if told.files == plugin.files {
                break;
            }
            plugin.files = told.files;
            match self.digests.of(&plugin).await {
                Ok(digest) => plugin.digest = digest,
                Err(error) => {
                    plugin.problems.push(unreadable(&error).into());
                    return plugin;
                }
            }
            told = self.told(plugin.clone()).await;
        }
        told
    }

    async fn told(&self, mut plugin: Plugin) -> Plugin {
        let profile = self.describing(&plugin);
        match profile.and_then(|profile| self.sandbox.place(&plugin, profile)) {
            Ok(place) => {
                let start = place.start(&plugin, &self.supervisor);
                describe(&mut plugin, &start).await;
                plugin.withheld = self.sandbox.withheld(&plugin);
            }
            Err(error) => plugin.problems.push(Problem::from(error.to_string())),
        }
        plugin
    }

    /// What a plugin may do that says what it offers. What it asks for is not known before it has said so: nothing but to
    /// be run at all, with its settings. It has nobody to reach.
    fn describing(&self, plugin: &Plugin) -> Result<Profile, PlacingError> {
        let plugin = Plugin::found(&plugin.name, &plugin.directory);
        let mut profile = self.sandbox.profile(&plugin, &Terms::default())?;
        profile.env.push(settings_prefix(&plugin.name) + "*");
        profile.network = Network::None;
        Ok(profile)
    }

    /// Fills in how the plugin is started, its files elsewhere as it has named them before, and its digest.
    async fn identify(
        &self,
        plugin: &mut Plugin,
        path: &Path,
        before: Before<'_>,
    ) -> Result<(), String> {
        check_name(&plugin.name)?;
        let entry = entry(path).ok_or("it has neither a cli.py nor an executable cli")?;
        plugin.entry = String::from(entry);
        if plugin.entry == "cli.py" {
            let interpreter = self
                .interpreters
                .resolve(path, self.environment.variables())
                .await;
            let interpreter = interpreter.map_err(|error| error.to_string())?;
            plugin.interpreter = Some(interpreter.path.to_string_lossy().into_owned());
        }
        let accepted = before.pins.accepted.get(&plugin.name);
        if let Some((pin, described)) =
            accepted.and_then(|pin| Some((pin, pin.described.as_ref()?)))
        {
            plugin.files.clone_from(&described.files);
            let digest = self.digests.of(plugin).await;
            if digest.is_ok_and(|digest| digest == pin.digest) {
                plugin.digest.clone_from(&pin.digest);
            }
        }
        if plugin.digest.is_empty() {
            let mut known = before.plugins.iter();
            let known = known.find(|known| known.name == plugin.name);
            plugin.files = known.map(|known| known.files.clone()).unwrap_or_default();
            let digest = self.digests.of(plugin).await;
            plugin.digest = digest.map_err(|error| unreadable(&error))?;
        }
        plugin.described_by = self.describer(plugin);
        Ok(())
    }

    /// This version, and what the plugin may do while it is described.
    fn describer(&self, plugin: &Plugin) -> String {
        let version = env!("CARGO_PKG_VERSION");
        // Where it may do nothing, it is not run.
        let profile = self.describing(plugin).map(|profile| json!(profile));
        let profile = profile.as_ref().ok().and_then(Value::as_object);
        let digest = profile.map(|profile| hex(&canonical::digest("describe", profile)));
        format!("{version} {}", digest.unwrap_or_default())
    }
}

fn is_quarantined(integrity: Option<&Integrity>) -> bool {
    matches!(integrity, Some(Integrity::Quarantined { .. }))
}

fn unreadable(error: &std::io::Error) -> String {
    format!("its files cannot be read: {error}")
}

/// The sub-directories that may be plugins, by name.
fn candidates(directory: &Path, problems: &mut Vec<String>) -> Vec<(String, PathBuf)> {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(format!(
                "plugin directory {} cannot be read: {error}",
                directory.display()
            ));
            return Vec::new();
        }
    };
    let mut found: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| entry(path).is_some())
        .filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), path)))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect();
    found.sort();
    found
}

/// The file that is run. An executable in any language goes before the Python form.
pub(super) fn entry(path: &Path) -> Option<&'static str> {
    let executable =
        |metadata: fs::Metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    if fs::metadata(path.join("cli")).is_ok_and(executable) {
        Some("cli")
    } else if path.join("cli.py").is_file() {
        Some("cli.py")
    } else {
        None
    }
}

/// Whether a directory of plugins may have a plugin of that name.
///
/// # Errors
/// The rule that it breaks.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(format!(
            "the directory's name '{name}' may have only letters, digits, '_' and '-'"
        ));
    }
    if RESERVED.contains(&name) {
        return Err(format!("the name '{name}' belongs to built-in tools"));
    }
    Ok(())
}

/// `a` with `b__c` and `a__b` with `c` would make one name of two tools: neither may have it.
fn refuse_shared_names(plugins: &mut [Plugin]) {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for plugin in plugins.iter() {
        for tool in &plugin.tools {
            owners
                .entry(tool.name.to_string())
                .or_default()
                .push(plugin.name.clone());
        }
    }
    owners.retain(|_, plugins| plugins.len() > 1);
    for plugin in plugins {
        let (kept, refused): (Vec<_>, Vec<_>) = plugin
            .tools
            .drain(..)
            .partition(|tool| !owners.contains_key(tool.name.as_str()));
        plugin.tools = kept;
        for tool in refused {
            let sharing = owners[tool.name.as_str()].join(" and ");
            plugin.problems.push(Problem::from(format!(
                "tool name {} is claimed by plugins {sharing}",
                tool.name
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_shared_are_refused_for_both() {
        let plugin = |name: &str, command: &str| {
            let document = serde_json::json!({"commands": [{"name": command}, {"name": "own"}]});
            let (tools, problems) = smcp_common::plugin::Manifest::parse(&document)
                .unwrap()
                .into_tools(name);
            Plugin {
                tools,
                problems,
                ..Plugin::found(name, "/p")
            }
        };
        let mut plugins = [plugin("a", "b__c"), plugin("a__b", "c")];
        refuse_shared_names(&mut plugins);
        for plugin in plugins {
            assert_eq!(plugin.tools.len(), 1);
            assert_eq!(
                plugin.problems[0].to_string(),
                "tool name a__b__c is claimed by plugins a and a__b"
            );
        }
    }

    #[test]
    fn names_of_built_in_tools_and_odd_names_are_refused() {
        assert_eq!(check_name("demo-math_2"), Ok(()));
        assert!(check_name("jobs").unwrap_err().contains("built-in"));
        assert!(check_name("a b").unwrap_err().contains("'a b'"));
    }
}
