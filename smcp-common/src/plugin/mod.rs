//! What a plugin says about itself: its tools, their parameters and how a call of them is prepared.
//! The worker describes plugins and stores them in the catalogue; the API reads them. No files, no processes.

mod arguments;
pub mod argv;
mod fit;
pub mod help;
mod integrity;
mod lane;
mod manifest;
mod name;
mod order;
mod parameter;
mod python;
mod runtime;
mod schema;
mod secret;
mod tool;

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::sandbox::Terms;

pub use arguments::normalise;
pub use fit::misfits;
pub use integrity::{Found, Integrity, Pinning, Sight};
pub use lane::{Lane, Template, TemplateError};
pub use manifest::{Manifest, Problem};
pub use name::{NameError, ToolName};
pub use order::{Binding, Order};
pub use parameter::{FlagStyle, Kind, Parameter};
pub use runtime::{Runtime, Warm};
pub use secret::{SecretForm, SecretWish};
pub use tool::{Annotations, OnDisconnect, Output, Tool};

/// A plugin as the catalogue stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plugin {
    /// The name of its directory, the first half of its tools' names.
    pub name: String,
    /// The absolute path of its directory.
    pub directory: String,
    /// The file that is run: `cli.py` or `cli`.
    pub entry: String,
    /// A digest of the plugin's files, of what they are run by, and of its settings; another digest means another plugin. Empty where they
    /// cannot be read.
    pub digest: String,
    /// The version of this program that has read its description, and a digest of what it might do then: another version may
    /// read the same differently, and who may read more may have more to tell.
    #[serde(default)]
    pub described_by: String,
    /// How it stands to what has been accepted of it; `None` where that does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Integrity>,
    /// The real path of the interpreter; `None` where the entry is executed itself.
    pub interpreter: Option<String>,
    /// What the plugin says it is for.
    pub description: Option<String>,
    /// What the plugin asks to be allowed; `None` where it says nothing of that.
    #[serde(
        default,
        deserialize_with = "readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub sandbox: Option<Terms>,
    /// How the plugin wants to be run; `None` where it says nothing of that.
    #[serde(
        default,
        deserialize_with = "readable",
        skip_serializing_if = "Option::is_none"
    )]
    pub runtime: Option<Runtime>,
    /// Files outside of its directory that are a part of it, such as its configuration: absolute paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// The stored secrets that its calls get.
    #[serde(
        default,
        deserialize_with = "readable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub secrets: Vec<SecretWish>,
    /// The tools that can be called; empty where the plugin was refused.
    pub tools: Vec<Tool>,
    /// Why the plugin, or a command of it, was refused; beside tools, each is a warning.
    pub problems: Vec<Problem>,
    /// What it asks for and is not granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Problem>,
}

impl Plugin {
    /// A plugin of which nothing is known but where it is.
    pub fn found(name: impl Into<String>, directory: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            directory: directory.into(),
            entry: String::new(),
            digest: String::new(),
            described_by: String::new(),
            integrity: None,
            interpreter: None,
            description: None,
            sandbox: None,
            runtime: None,
            files: Vec::new(),
            secrets: Vec::new(),
            tools: Vec::new(),
            problems: Vec::new(),
            withheld: Vec::new(),
        }
    }

    /// What calls of `tool`, which is one of its own, ask to be allowed.
    pub fn asks(&self, tool: &Tool) -> Terms {
        let asks = tool.sandbox.as_ref().or(self.sandbox.as_ref());
        asks.cloned().unwrap_or_default()
    }

    /// What it asks to be allowed for any call.
    pub fn asks_at_most(&self) -> Terms {
        let own = self.sandbox.clone().unwrap_or_default();
        let tools = self.tools.iter();
        let of_tools = tools.filter_map(|tool| tool.sandbox.as_ref());
        of_tools.fold(own, Terms::joined)
    }

    /// Whether it must not be run until somebody accepts it.
    pub const fn is_quarantined(&self) -> bool {
        matches!(self.integrity, Some(Integrity::Quarantined { .. }))
    }
}

/// What a catalogue has that was stored when these were kept as declared, whatever that was.
fn readable<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_catalogue_of_before_can_be_read() {
        let mut stored = serde_json::to_value(Plugin::found("toy", "/p/toy")).unwrap();
        stored["sandbox"] = json!({"anything": 1});
        stored["runtime"] = json!(["anything"]);
        stored["secrets"] = json!(["anything"]);
        let plugin: Plugin = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(plugin, Plugin::found("toy", "/p/toy"));
        stored["sandbox"] = json!({"limits": {"memory_mb": 7}});
        stored["runtime"] = json!({"warm": "off"});
        stored["secrets"] =
            json!([{"name": "T", "as": "file", "required": true, "variable": "T_FILE"}]);
        let plugin: Plugin = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(plugin).unwrap(), stored);
    }
}
