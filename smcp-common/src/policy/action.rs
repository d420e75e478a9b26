//! A tool as rules see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::Effect;
use crate::plugin::Tool;

/// The action group of the tools of plugins.
pub const CALL: &str = "call";
/// The action group of the built-in tools that change or show what is everybody's.
pub const ADMINISTER: &str = "administer";
/// The action group of the built-in tools that reach only what is the caller's own.
pub const FOLLOW: &str = "follow";
/// The action group of the tools of plugins that may destroy something.
pub const DESTRUCTIVE: &str = "destructive";
/// The action group of the tools of plugins that change nothing.
pub const READ_ONLY: &str = "read_only";
/// Every group that there is even where no tool is in it, so that a rule may name it.
pub(super) const GROUPS: [&str; 5] = [CALL, ADMINISTER, FOLLOW, DESTRUCTIVE, READ_ONLY];

/// The resource of the built-in tools; no plugin can have that name.
pub const BUILTIN_PLUGIN: &str = "builtin:smcp";

/// What the group of a plugin's tools begins with; the plugin's name follows.
pub(super) const PLUGIN_PREFIX: &str = "plugin__";

/// A tool as rules see it: `Smcp::Action::"NAME"`, on the resource `Smcp::Plugin::"PLUGIN"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// The tool's name.
    pub name: String,
    /// The plugin that has it, or [`BUILTIN_PLUGIN`].
    pub plugin: String,
    /// The action groups that it is in.
    pub groups: Vec<String>,
    /// The JSON Schema of its arguments, which rules read under `context.input`.
    pub input_schema: Value,
}

impl Action {
    /// A tool of a plugin.
    pub fn of_plugin(tool: &Tool) -> Self {
        let mut groups = vec![CALL.to_owned(), format!("{PLUGIN_PREFIX}{}", tool.plugin)];
        if tool.annotations.destructive_hint == Some(true) {
            groups.push(DESTRUCTIVE.to_owned());
        }
        if tool.effect == Effect::ReadOnly {
            groups.push(READ_ONLY.to_owned());
        }
        Self {
            name: tool.name.to_string(),
            plugin: tool.plugin.clone(),
            groups,
            input_schema: tool.input_schema(),
        }
    }

    /// A built-in tool of the group [`FOLLOW`] or [`ADMINISTER`].
    pub fn builtin(name: &str, group: &str, input_schema: Value) -> Self {
        Self {
            name: name.to_owned(),
            plugin: BUILTIN_PLUGIN.to_owned(),
            groups: vec![group.to_owned()],
            input_schema,
        }
    }

    /// Whether its name would be taken for that of a group.
    pub(super) fn is_named_like_a_group(&self) -> bool {
        GROUPS.contains(&self.name.as_str()) || self.name.starts_with(PLUGIN_PREFIX)
    }
}
