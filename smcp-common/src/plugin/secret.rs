//! Which stored secrets a plugin wants, and how its calls get them.

use serde::{Deserialize, Serialize};

use super::{Plugin, Tool};

/// A secret that a plugin declares. Its calls get the value that is set for their agent, else the one for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretWish {
    /// The name under which it is set.
    pub name: String,
    /// How a call gets it.
    #[serde(rename = "as")]
    pub form: SecretForm,
    /// Whether a call fails where it is not set.
    pub required: bool,
    /// The environment variable that has the value, or the path of its file.
    pub variable: String,
}

/// How a call gets a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretForm {
    /// As the value of the variable.
    #[default]
    Env,
    /// In a file that the variable names, which the call alone can read.
    File,
}

impl SecretForm {
    /// Every form, in the order of the contract.
    pub const ALL: [Self; 2] = [Self::Env, Self::File];

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
        }
    }
}

impl Plugin {
    /// The secrets that a call of `tool`, one of its own, gets: what the command narrows the plugin's to.
    pub fn secrets_of<'p>(&'p self, tool: &'p Tool) -> impl Iterator<Item = &'p SecretWish> {
        let wanted = |name: &String| match &tool.secrets {
            Some(names) => names.contains(name),
            None => true,
        };
        self.secrets.iter().filter(move |wish| wanted(&wish.name))
    }
}

/// Variables that say how the plugin's process is run, or that each run has: no secret goes there. A `*` stands for any
/// ending.
const TAKEN: [&str; 13] = [
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_*",
    "LD_*",
    "MALLOC_*",
    "NO_PROXY",
    "PATH",
    "PYTHON*",
    "SMCP_*",
    "TMPDIR",
    "TZ",
];

/// Whether no secret may be passed in that variable.
pub(super) fn is_taken(variable: &str) -> bool {
    TAKEN.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(prefix) => variable.starts_with(prefix),
        None => variable.eq_ignore_ascii_case(pattern),
    })
}
