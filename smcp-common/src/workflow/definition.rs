//! What a workflow is to do, as its author writes it and as it is stored.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most steps that a workflow may have.
pub const MAX_STEPS: usize = 100;

/// A workflow: steps, in any order. [`super::check()`] says what is wrong with one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The steps: 1 to [`MAX_STEPS`].
    pub steps: Vec<Step>,
}

/// One step: a call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name within the workflow: lower-case letters, digits, `-` and `_`, at most 64.
    pub id: String,
    /// The tool, `plugin__command`.
    pub tool: String,
    /// The tool's arguments; strings may have references to other steps.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Value>,
    /// The steps that must have ended before. A reference to a step makes it one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What follows where it fails.
    #[serde(default, skip_serializing_if = "OnFailure::is_stop")]
    pub on_failure: OnFailure,
    /// How its success is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// What follows where a step fails.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OnFailure {
    /// Nothing new begins, and the workflow fails.
    #[default]
    Stop,
    /// The steps that need it begin all the same, and the workflow may still succeed.
    Continue,
    /// That step begins, nothing else does, and the workflow fails.
    Run(String),
}

/// A text that says no such thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("on_failure is \"stop\", \"continue\" or \"run:STEP\", but not '{0}'")]
pub struct InvalidOnFailure(String);

/// Checks that run after a step's job has succeeded: the first one at once, the others one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The tool of each check, which succeeds where its job does.
    pub tool: String,
    /// Its arguments; they may refer to the step that is verified, too.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Value>,
    /// Seconds from the beginning of a check to that of the next one: 0 to one day.
    pub every: f64,
    /// So many checks must succeed …
    pub need: u32,
    /// … of so many at the most: 1 to 100.
    pub of: u32,
    /// Seconds from the end of the step's job within which they must: up to seven days.
    pub deadline: f64,
}

impl Definition {
    /// The place of the step of that id.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.id == id)
    }
}

impl OnFailure {
    /// The step that runs.
    pub fn handler(&self) -> Option<&str> {
        match self {
            Self::Run(step) => Some(step),
            Self::Stop | Self::Continue => None,
        }
    }

    fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

impl TryFrom<String> for OnFailure {
    type Error = InvalidOnFailure;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "stop" => Ok(Self::Stop),
            "continue" => Ok(Self::Continue),
            _ => match text.strip_prefix("run:").map(str::trim) {
                Some(step) if !step.is_empty() => Ok(Self::Run(step.to_owned())),
                Some(_) | None => Err(InvalidOnFailure(text.chars().take(80).collect())),
            },
        }
    }
}

impl From<OnFailure> for String {
    fn from(what: OnFailure) -> Self {
        what.to_string()
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::Continue => f.write_str("continue"),
            Self::Run(step) => write!(f, "run:{step}"),
        }
    }
}

impl Verify {
    /// From the beginning of a check to that of the next one.
    pub fn interval(&self) -> Duration {
        Duration::try_from_secs_f64(self.every).unwrap_or_default()
    }

    /// From the end of the step's job to the end of patience.
    pub fn patience(&self) -> Duration {
        Duration::try_from_secs_f64(self.deadline).unwrap_or_default()
    }
}
