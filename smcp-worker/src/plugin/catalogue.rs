//! Finding plugins: which directories hold one, whether it has changed, and what it offers. A worker does this, as
//! to describe a plugin is to run its code.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smcp_common::config::{Config, Environment};
use smcp_common::plugin::{Plugin, Problem};
use smcp_common::sandbox::{Network, Profile, Terms};

use super::describe::describe;
use super::digest::digest;
use super::interpreter::Interpreters;
use crate::sandbox::placing::Sandbox;

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

/// Finds and describes plugins.
#[derive(Debug)]
pub struct Scanner {
    supervisor: PathBuf,
    interpreters: Interpreters,
    environment: Environment,
    sandbox: Arc<Sandbox>,
}

/// What a scan found.
#[derive(Debug)]
pub struct Found {
    /// The plugins, refused ones included, by name.
    pub plugins: Vec<Plugin>,
    /// What is wrong with the directories themselves.
    pub problems: Vec<String>,
}

impl Scanner {
    /// A scanner that runs plugins below `supervisor` in places of `sandbox`, by interpreters that `environment` names.
    pub(crate) fn new(
        supervisor: PathBuf,
        environment: Environment,
        sandbox: Arc<Sandbox>,
    ) -> Self {
        Self {
            interpreters: Interpreters::new(supervisor.clone()),
            supervisor,
            environment,
            sandbox,
        }
    }

    /// Looks through `directories`, in order; of two plugins of one name the first counts. A plugin that is in
    /// `known` with the same digest is not run.
    pub async fn scan(&self, directories: &[PathBuf], known: &[Plugin]) -> Found {
        let mut found = BTreeMap::new();
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
                let plugin = self.plugin(name.clone(), &path, known).await;
                found.insert(name, plugin);
            }
        }
        let mut plugins: Vec<_> = found.into_values().collect();
        refuse_shared_names(&mut plugins);
        Found { plugins, problems }
    }

    async fn plugin(&self, name: String, path: &Path, known: &[Plugin]) -> Plugin {
        let mut plugin = Plugin::found(name, path.to_string_lossy());
        if let Err(problem) = self.identify(&mut plugin, path).await {
            plugin.problems.push(Problem::from(problem));
            return plugin;
        }
        let same = |known: &&Plugin| {
            (&known.name, &known.digest, &known.directory)
                == (&plugin.name, &plugin.digest, &plugin.directory)
        };
        if let Some(known) = known.iter().find(same) {
            plugin = known.clone();
            // What it is granted may have changed though it has not.
            plugin.withheld = self.sandbox.withheld(&plugin);
            return plugin;
        }
        // What it asks for is not known before it has said so: nothing but to be run at all.
        let profile = self.sandbox.profile(&plugin, &Terms::default());
        match profile.and_then(|profile| self.sandbox.place(&plugin, closed(profile))) {
            Ok(place) => {
                let start = place.start(&plugin, &self.supervisor);
                describe(&mut plugin, &start).await;
                plugin.withheld = self.sandbox.withheld(&plugin);
            }
            Err(error) => plugin.problems.push(Problem::from(error.to_string())),
        }
        plugin
    }

    /// Fills in how the plugin is started, and its digest.
    async fn identify(&self, plugin: &mut Plugin, path: &Path) -> Result<(), String> {
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
        // Another interpreter or another version of this program may read the same files differently.
        let salt = format!(
            "{}\0{}",
            env!("CARGO_PKG_VERSION"),
            plugin.interpreter.as_deref().unwrap_or_default()
        );
        plugin.digest =
            digest(path, &salt).map_err(|error| format!("its files cannot be read: {error}"))?;
        Ok(())
    }
}

/// Describes the plugin in `directory` without a worker, confined as one would confine it.
///
/// # Errors
/// When a sandbox cannot be prepared.
pub async fn check(
    directory: &Path,
    config: &Config,
    environment: &Environment,
    supervisor: &Path,
) -> io::Result<Plugin> {
    let passable = fs::Permissions::from_mode(0o711);
    let mut builder = tempfile::Builder::new();
    let scratch = builder
        .prefix("smcp-check-")
        .permissions(passable)
        .tempdir()?;
    let sandbox = Sandbox::open(
        supervisor,
        config,
        environment,
        scratch.path(),
        &format!("p-{}", std::process::id()),
    )
    .await?;
    let scanner = Scanner::new(
        supervisor.to_owned(),
        environment.clone(),
        Arc::new(sandbox),
    );
    let path = std::path::absolute(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(scanner.plugin(name.into_owned(), &path, &[]).await)
}

/// A plugin that only says what it offers has nobody to reach.
fn closed(profile: Profile) -> Profile {
    Profile {
        network: Network::None,
        ..profile
    }
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

fn check_name(name: &str) -> Result<(), String> {
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
