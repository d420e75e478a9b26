//! What a plugin asks for and does not get.

use serde::Serialize;

/// Something that a plugin asks for and does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// The key: `network.mode`.
    pub key: &'static str,
    /// What is asked for, as `smcp.toml` writes it: `"full"`; of a list, the entries that are not granted.
    pub asked: String,
    /// What is granted of the key, written likewise: `"none"`.
    pub granted: String,
    /// The line for the plugin in `smcp.toml` with which it would be granted: `network.mode = "full"`.
    pub line: String,
}

impl Excess {
    /// A sentence for the operator about the plugin of that name.
    pub fn sentence(&self, plugin: &str) -> String {
        let Self {
            key,
            asked,
            granted,
            line,
        } = self;
        format!(
            "it asks for {key} = {asked}, but is granted {granted}; to grant it, write under \
             [sandbox.plugins.{plugin}] in smcp.toml: {line}"
        )
    }
}

/// A value as `smcp.toml` writes it.
pub(super) fn written<T: Serialize>(value: T) -> String {
    // Only what came from a file or a manifest is shown, and that is Unicode and within the numbers of TOML.
    toml::Value::try_from(value).map_or_else(|error| error.to_string(), |value| value.to_string())
}
