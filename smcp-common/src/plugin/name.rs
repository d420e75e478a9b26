//! The names under which tools are called.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a tool: 1 to 64 ASCII letters, digits, `_` and `-`, which is all that every known client accepts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolName(String);

impl ToolName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The name of a plugin's command: `plugin__command`.
    ///
    /// # Errors
    /// [`NameError`] where the whole is too long, or where a part is empty or has a character that names cannot have.
    pub fn join(plugin: &str, command: &str) -> Result<Self, NameError> {
        let name = format!("{plugin}__{command}");
        if plugin.is_empty() || command.is_empty() {
            return Err(NameError::Incomplete { name });
        }
        Self::try_from(name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not the name of a tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing in it, or nothing on one side of `__`.
    #[error("tool name '{name}' is incomplete")]
    Incomplete {
        /// The refused name.
        name: String,
    },
    /// It is longer than clients accept.
    #[error("tool name '{name}' has {length} characters, but clients accept at most {limit}")]
    TooLong {
        /// The refused name.
        name: String,
        /// Its length in characters.
        length: usize,
        /// [`ToolName::MAX_BYTES`].
        limit: usize,
    },
    /// It has a character that clients refuse.
    #[error(
        "tool name '{name}' has the character {character:?}, but must match ^[a-zA-Z0-9_-]{{1,64}}$"
    )]
    Character {
        /// The refused name.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
}

impl TryFrom<String> for ToolName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Incomplete { name });
        }
        if let Some(character) = name.chars().find(|c| !is_name_character(*c)) {
            return Err(NameError::Character { name, character });
        }
        if name.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong {
                length: name.len(),
                name,
                limit: Self::MAX_BYTES,
            });
        }
        Ok(Self(name))
    }
}

impl FromStr for ToolName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::try_from(name.to_owned())
    }
}

impl From<ToolName> for String {
    fn from(name: ToolName) -> Self {
        name.0
    }
}

impl Borrow<str> for ToolName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a tool, or a command of a plugin, may have this character in its name.
pub(super) const fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_and_a_command_make_a_name() {
        assert_eq!(
            ToolName::join("demo_math", "format-bytes")
                .unwrap()
                .as_str(),
            "demo_math__format-bytes"
        );
    }

    #[test]
    fn names_that_clients_would_refuse_are_refused_here() {
        let long = "c".repeat(60);
        let rows = [
            ("64 characters fit", ToolName::join("p", &"c".repeat(61)).map(|n| n.as_str().len()), Ok(64)),
            (
                "65 do not",
                ToolName::join("pp", &"c".repeat(61)).map(|n| n.as_str().len()),
                Err(format!(
                    "tool name 'pp__{long}c' has 65 characters, but clients accept at most 64"
                )),
            ),
            (
                "a dot in the plugin's directory",
                ToolName::join("a.b", "c").map(|n| n.as_str().len()),
                Err("tool name 'a.b__c' has the character '.', but must match ^[a-zA-Z0-9_-]{1,64}$".to_owned()),
            ),
            ("no command", ToolName::join("a", "").map(|n| n.as_str().len()), Err("tool name 'a__' is incomplete".to_owned())),
            ("nothing", ToolName::from_str("").map(|n| n.as_str().len()), Err("tool name '' is incomplete".to_owned())),
        ];
        for (row, found, expected) in rows {
            assert_eq!(found.map_err(|error| error.to_string()), expected, "{row}");
        }
    }

    #[test]
    fn a_stored_name_is_checked_when_it_is_read() {
        let name: ToolName = serde_json::from_str(r#""a__b""#).unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""a__b""#);
        assert!(serde_json::from_str::<ToolName>(r#""a b""#).is_err());
    }
}
