//! What a plugin prints for `--describe`, contract version 1 (`plugins/contract/v1.json`).
//! Reading it collects everything that is wrong, so that an author mends a manifest in one go.

mod command;
mod fields;
mod input;
mod parameter;
mod secrets;
#[cfg(test)]
pub(super) mod tests;
mod wishes;

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::command::Command;
use self::fields::{Fields, Findings};
use super::{Runtime, SecretWish, Tool, ToolName};
use crate::sandbox::Terms;

/// A manifest that keeps the contract.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// What the plugin says it is for.
    pub description: Option<String>,
    /// What it asks to be allowed.
    pub sandbox: Option<Terms>,
    /// How it wants to be run.
    pub runtime: Option<Runtime>,
    /// Files outside of its directory that are a part of it, by absolute paths.
    pub files: Vec<PathBuf>,
    /// The stored secrets that its calls get.
    pub secrets: Vec<SecretWish>,
    commands: Vec<Command>,
    warnings: Vec<Problem>,
}

/// Something that is wrong with a plugin, with its place in the manifest: `commands[0].name is required`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problem(String);

impl Manifest {
    /// Reads what a plugin printed for `--describe`. Keys that the contract does not know are passed over, null is the
    /// same as absent, and the commands `connect` and `disconnect` are left out, since every call stands for itself.
    ///
    /// # Errors
    /// Everything that breaks the contract, not only the first thing. Such a plugin is refused as a whole.
    pub fn parse(document: &Value) -> Result<Self, Vec<Problem>> {
        let mut findings = Findings::default();
        let manifest = Self::read(document, &mut findings);
        match manifest {
            Some(manifest) if findings.problems.is_empty() => Ok(Self {
                warnings: findings.warnings,
                ..manifest
            }),
            _ => Err(findings.problems),
        }
    }

    /// The tools of this manifest under the name of its plugin, and what should be mended in it: commands that cannot
    /// be tools for the length of their names, and declarations that are not used.
    pub fn into_tools(self, plugin: &str) -> (Vec<Tool>, Vec<Problem>) {
        let mut tools = Vec::new();
        let mut problems = self.warnings;
        for command in self.commands {
            match ToolName::join(plugin, &command.name) {
                Ok(name) => tools.push(command.into_tool(name, plugin)),
                Err(error) => problems.push(Problem(error.to_string())),
            }
        }
        (tools, problems)
    }

    fn read(document: &Value, findings: &mut Findings) -> Option<Self> {
        let Value::Object(document) = document else {
            findings.problems.push(Problem(
                "the --describe document must be a JSON object".to_owned(),
            ));
            return None;
        };
        let mut fields = Fields::of(document, String::new(), &KEYS, findings);
        version(&mut fields);
        let mut manifest = about(&mut fields);
        let commands = match fields.get("commands") {
            Some(Value::Array(commands)) => commands.as_slice(),
            other => {
                let what = if other.is_some() {
                    "'commands' must be an array"
                } else {
                    "missing required 'commands' array"
                };
                fields.problem(what.to_owned());
                &[]
            }
        };
        manifest.commands = read_commands(commands, findings);
        secrets::check(&manifest.commands, &manifest.secrets, findings);
        Some(manifest)
    }
}

const KEYS: [&str; 3] = ["contract_version", "plugin", "commands"];
const PLUGIN_KEYS: [&str; 8] = [
    "name",
    "version",
    "description",
    "sandbox",
    "runtime",
    "files",
    "problems",
    "secrets",
];

/// Commands of the original's early plugins, which mean nothing where each call is a process of its own.
const DROPPED: [&str; 2] = ["connect", "disconnect"];

fn version(fields: &mut Fields<'_, '_>) {
    if let Some(version) = fields.string("contract_version")
        && version.split('.').next() != Some("1")
    {
        fields.problem(format!(
            "unsupported contract_version '{version}': this is contract version 1"
        ));
    }
}

/// What the document says of the plugin itself.
fn about(fields: &mut Fields<'_, '_>) -> Manifest {
    let mut manifest = Manifest::default();
    if let Some(mut fields) = fields.nested("plugin", &PLUGIN_KEYS) {
        fields.filled("name");
        // The original never looked at it: one of another type is no reason to refuse a plugin.
        manifest.description = fields
            .get("description")
            .and_then(Value::as_str)
            .map(str::to_owned);
        manifest.sandbox = wishes::sandbox(&mut fields);
        manifest.runtime = wishes::runtime(&mut fields);
        manifest.files = wishes::files(&mut fields);
        wishes::problems(&mut fields);
        manifest.secrets = secrets::plugin(&mut fields);
    }
    manifest
}

fn read_commands(commands: &[Value], findings: &mut Findings) -> Vec<Command> {
    let mut names = HashSet::new();
    let mut kept = Vec::new();
    for (i, value) in commands.iter().enumerate() {
        let path = format!("commands[{i}]");
        let Some(command) = Command::read(value, &path, findings) else {
            continue;
        };
        if !names.insert(command.name.clone()) {
            findings.problems.push(Problem(format!(
                "{path}.name '{}' is already the name of another command",
                command.name
            )));
        }
        if !DROPPED.contains(&command.name.as_str()) {
            kept.push(command);
        }
    }
    kept
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Problem> for String {
    fn from(problem: Problem) -> Self {
        problem.0
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
