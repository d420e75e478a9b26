//! Other names for the tools of plugins.

use std::collections::BTreeMap;

use super::ConfigError;
use crate::plugin::ToolName;

/// The longest name that the protocol knows, in characters.
const MAX_CHARS: usize = 128;

/// The names that can be called beside the tools' own, each with the tool that it means.
pub(super) fn read(
    file: BTreeMap<String, String>,
) -> Result<BTreeMap<String, ToolName>, ConfigError> {
    file.into_iter()
        .map(|(alias, tool)| pair(alias, tool))
        .collect()
}

fn pair(alias: String, tool: String) -> Result<(String, ToolName), ConfigError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if alias.is_empty() || alias.len() > MAX_CHARS || !alias.chars().all(fits) {
        let problem = "must match ^[A-Za-z0-9_.-]{1,128}$".to_owned();
        return Err(ConfigError::Alias { alias, problem });
    }
    match ToolName::try_from(tool) {
        Ok(tool) => Ok((alias, tool)),
        Err(error) => {
            let problem = format!("must be the name of a plugin's tool: {error}");
            Err(ConfigError::Alias { alias, problem })
        }
    }
}
