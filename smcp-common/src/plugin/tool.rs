//! A tool: one command of a plugin, with everything that a call of it needs to know.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arguments::implied;
use super::parameter::canonical;
use super::{Lane, Parameter, ToolName};
use crate::job::{Effect, Retry};
use crate::sandbox::Terms;

/// One command of a plugin, as the catalogue stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// The name under which it is called.
    pub name: ToolName,
    /// The plugin that has the command.
    pub plugin: String,
    /// The command, the first argument of the plugin's process.
    pub command: String,
    /// What it does; never empty.
    pub description: String,
    /// What it takes, in declared order. No two of them differ only in `-` and `_`.
    pub parameters: Vec<Parameter>,
    /// The JSON Schema of the arguments where the plugin declares that itself; `parameters` are its properties then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_schema: Option<Value>,
    /// Whether anything may be passed, since the plugin declares no parameters.
    pub open: bool,
    /// What the plugin tells clients about the tool.
    pub annotations: Annotations,
    /// The longest run, in milliseconds; `None` leaves it to the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What running it twice does.
    pub effect: Effect,
    /// What it must not run beside.
    pub lane: Lane,
    /// How it is retried; `None` leaves it to the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What happens to its job when the caller goes away.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// How its standard output is read.
    pub output: Output,
    /// The JSON Schema of its structured output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// The names of the secrets that its calls get; `None` means all that its plugin declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// What its calls ask to be allowed; `None` means what its plugin asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Terms>,
    /// The names of the secrets that its calls may hand over to be stored; a `*` at the end stands for any ending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
}

impl Tool {
    /// The declared parameter that `name` means: spelled so, else with `-` and `_` taken as equal.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
            .or_else(|| {
                let wanted = canonical(name);
                self.parameters
                    .iter()
                    .find(|parameter| canonical(&parameter.name) == wanted)
            })
    }

    /// Whether its calls may hand over a secret of that name.
    pub fn may_store(&self, name: &str) -> bool {
        let admits = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => wanted == name,
        };
        self.stores.iter().any(admits)
    }

    /// The names of the parameters that every call has, since they have a default.
    pub fn defaulted_parameters(&self) -> impl Iterator<Item = &str> {
        let defaulted = self
            .parameters
            .iter()
            .filter(|parameter| implied(parameter).is_some_and(|default| !default.is_null()));
        defaulted.map(|parameter| parameter.name.as_str())
    }

    /// The names of the parameters whose values must not be shown.
    pub fn secret_parameters(&self) -> Vec<String> {
        let secret = self.parameters.iter().filter(|parameter| parameter.secret);
        secret.map(|parameter| parameter.name.clone()).collect()
    }

    /// The description of a command that has none of its own.
    pub(super) fn default_description(plugin: &str, command: &str) -> String {
        format!("Execute {plugin} {command} command")
    }
}

/// What a plugin tells clients about a tool; hints, never a permission. In JSON as MCP writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// It changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    /// It may destroy something. Clients take an absent hint as true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    /// Calling it again with the same arguments changes nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    /// It reaches things outside this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

impl Annotations {
    /// The effect of a tool that declares no other: nothing is guessed from its name, and silence means `once`.
    pub fn effect(&self) -> Effect {
        if self.read_only_hint == Some(true) {
            Effect::ReadOnly
        } else if self.idempotent_hint == Some(true) {
            Effect::Idempotent
        } else {
            Effect::Once
        }
    }

    /// These annotations with the hint that follows from `effect`, unless the plugin has set it itself.
    #[must_use]
    pub fn hinting(mut self, effect: Effect) -> Self {
        match effect {
            Effect::ReadOnly => self.read_only_hint = self.read_only_hint.or(Some(true)),
            Effect::Idempotent => self.idempotent_hint = self.idempotent_hint.or(Some(true)),
            Effect::Once => {}
        }
        self
    }
}

/// What happens to a job whose caller goes away for good: closes the stream of a request that cannot be resumed, or ends
/// its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// It goes on, and its result is kept.
    #[default]
    Detach,
    /// It is stopped.
    Cancel,
}

impl OnDisconnect {
    /// Every choice, in the order of the contract.
    pub const ALL: [Self; 2] = [Self::Detach, Self::Cancel];

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detach => "detach",
            Self::Cancel => "cancel",
        }
    }
}

/// How the standard output of a tool is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// As one block of text.
    #[default]
    Text,
    /// As one JSON document, which is also the structured content of the answer.
    Json,
    /// As a whole MCP tool result.
    Mcp,
}

impl Output {
    /// Every form, in the order of the contract.
    pub const ALL: [Self; 3] = [Self::Text, Self::Json, Self::Mcp];

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Mcp => "mcp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_only_taken_from_hints_that_promise_it() {
        let hints = |read_only_hint, idempotent_hint| Annotations {
            read_only_hint,
            idempotent_hint,
            ..Annotations::default()
        };
        let rows = [
            (hints(None, None), Effect::Once),
            (hints(Some(false), Some(false)), Effect::Once),
            (hints(Some(true), None), Effect::ReadOnly),
            (hints(Some(true), Some(true)), Effect::ReadOnly),
            (hints(Some(false), Some(true)), Effect::Idempotent),
        ];
        for (annotations, expected) in rows {
            assert_eq!(annotations.effect(), expected, "{annotations:?}");
        }
    }

    #[test]
    fn a_declared_hint_is_not_overwritten() {
        let silent = Annotations::default().hinting(Effect::ReadOnly);
        assert_eq!(
            serde_json::to_string(&silent).unwrap(),
            r#"{"readOnlyHint":true}"#
        );
        let denied = Annotations {
            idempotent_hint: Some(false),
            ..Annotations::default()
        };
        assert_eq!(denied.clone().hinting(Effect::Idempotent), denied);
    }
}
