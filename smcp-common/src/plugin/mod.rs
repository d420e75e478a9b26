//! What a plugin says about itself: its tools, their parameters and how a call of them is prepared.
//! The worker describes plugins and stores them in the catalogue; the API reads them. No files, no processes.

mod arguments;
mod fit;
pub mod help;
mod lane;
mod manifest;
mod name;
mod order;
mod parameter;
mod schema;
mod tool;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use arguments::normalise;
pub use fit::misfits;
pub use lane::{Lane, Template, TemplateError};
pub use manifest::{Manifest, Problem};
pub use name::{NameError, ToolName};
pub use order::Order;
pub use parameter::{FlagStyle, Kind, Parameter};
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
    /// A digest of the plugin's files; another digest means another plugin.
    pub digest: String,
    /// The real path of the interpreter; `None` where the entry is executed itself.
    pub interpreter: Option<String>,
    /// What the plugin says it is for.
    pub description: Option<String>,
    /// The sandbox profile that the plugin asks for, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Value>,
    /// How the plugin wants to be run, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Value>,
    /// The secrets that the plugin wants injected, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Value>,
    /// The tools that can be called; empty where the plugin was refused.
    pub tools: Vec<Tool>,
    /// Why the plugin, or a command of it, was refused; beside tools, each is a warning.
    pub problems: Vec<Problem>,
}

impl Plugin {
    /// A plugin of which nothing is known but where it is.
    pub fn found(name: impl Into<String>, directory: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            directory: directory.into(),
            entry: String::new(),
            digest: String::new(),
            interpreter: None,
            description: None,
            sandbox: None,
            runtime: None,
            secrets: None,
            tools: Vec::new(),
            problems: Vec::new(),
        }
    }
}
