//! The environment of a process, and texts in it that must not be printed.

use std::collections::BTreeMap;
use std::fmt;

use super::ConfigError;

/// What begins every variable of SMCP's own.
const OWN: &str = "SMCP_";

/// The variables of which SMCP reads, or for a run sets, the value itself. No plugin is handed the server's, whatever the
/// plugin is called.
const TAKEN: [&str; 21] = [
    "SMCP_ADMIN_PREFIX",
    "SMCP_ALLOWED_HOSTS",
    "SMCP_ALLOWED_ORIGINS",
    "SMCP_API_KEY",
    "SMCP_ATTACH_PROFILE",
    "SMCP_ATTEMPT",
    "SMCP_CONFIG",
    "SMCP_CONTROL_FD",
    "SMCP_DATABASE_URL",
    "SMCP_DATA_DIR",
    "SMCP_EVENTS_FD",
    "SMCP_JOB_ID",
    "SMCP_LOG",
    "SMCP_PLUGINS_PIN",
    "SMCP_POLICIES",
    "SMCP_POLICY_ZONE",
    "SMCP_PROFILES",
    "SMCP_PYTHON",
    "SMCP_SECRETS_KEY_FILE",
    "SMCP_WARM_UNCONFINED",
    "SMCP_WORKERS",
];

/// How the variables begin that are settings of the plugin of that name: `SMCP_MY_PLUGIN_` for `my-plugin`.
pub fn settings_prefix(plugin: &str) -> String {
    let plugin = plugin.replace('-', "_").to_ascii_uppercase();
    format!("{OWN}{plugin}_")
}

/// Whether the variable `name` is a setting of the plugin of that name, and none of SMCP's.
pub fn is_setting_of(plugin: &str, name: &str) -> bool {
    name.starts_with(&settings_prefix(plugin)) && !TAKEN.contains(&name)
}

/// The environment of a process, as read once. Empty variables count as unset.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process; what is not Unicode is left out.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// All variables.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// A variable, unless it is unset or empty.
    pub fn text(&self, name: &str) -> Option<String> {
        // Keeps the list complete, so that a plugin that is called like a setting never gets it.
        debug_assert!(
            !name.starts_with(OWN) || TAKEN.contains(&name),
            "{name} is not listed as a variable of SMCP's own"
        );
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The settings of the plugin of that name, by their names.
    pub fn settings_of(&self, plugin: &str) -> impl Iterator<Item = (&str, &str)> {
        let settings = self
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        settings.filter(move |(name, _)| is_setting_of(plugin, name))
    }

    pub(super) fn list(&self, name: &str, separator: char) -> Option<Vec<String>> {
        self.text(name).map(|text| split(&text, separator))
    }

    pub(super) fn number<T: std::str::FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        self.text(key)
            .map(|value| {
                value.trim().parse().map_err(|_| ConfigError::Value {
                    key,
                    value,
                    expected,
                })
            })
            .transpose()
    }

    pub(super) fn switch(&self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.text(key) else {
            return Ok(None);
        };
        match value.trim().to_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Some(true)),
            "0" | "false" | "no" | "off" => Ok(Some(false)),
            _ => Err(ConfigError::Value {
                key,
                value,
                expected: "1, true, yes or on; or 0, false, no or off",
            }),
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(variables: T) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A text that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The parts of a list, trimmed, without empty ones.
pub(super) fn split(text: &str, separator: char) -> Vec<String> {
    text.split(separator)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_belongs_to_the_plugin_whose_name_it_has_unless_it_is_the_servers() {
        let rows = [
            ("shell", "SMCP_SHELL_COMMANDS", true),
            ("my-Plugin", "SMCP_MY_PLUGIN_TOKEN", true),
            ("my_plugin", "SMCP_MY_PLUGIN_TOKEN", true),
            ("shell", "SMCP_CI_URL", false),
            ("shell", "SMCP_SHELL", false),
            ("shell", "SMCP_SHELLFISH_X", false),
            ("shell", "SHELL_COMMANDS", false),
            // Plugins that are called like settings.
            ("api", "SMCP_API_KEY", false),
            ("data", "SMCP_DATA_DIR", false),
            ("database", "SMCP_DATABASE_URL", false),
            ("log", "SMCP_LOG", false),
            ("plugins", "SMCP_PLUGINS_PIN", false),
            ("worker", "SMCP_WORKERS", false),
            ("secrets-key", "SMCP_SECRETS_KEY_FILE", false),
        ];
        for (plugin, name, expected) in rows {
            assert_eq!(is_setting_of(plugin, name), expected, "{plugin} {name}");
        }
        for name in TAKEN {
            for end in 1..name.len() {
                let plugin = name.get(OWN.len()..end).unwrap_or_default();
                assert!(!is_setting_of(plugin, name), "{plugin} {name}");
            }
        }
    }
}
