//! One parameter of a command: what it is, and how it is written on a command line.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// A parameter that a command declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name as declared; `-` and `_` are the same to callers and on the command line.
    pub name: String,
    /// The JSON type of its value.
    pub kind: Kind,
    /// What it is for; may be empty.
    pub description: String,
    /// Whether a call without it is refused.
    pub required: bool,
    /// The value of a call that does not give one. It fits the kind, the enumeration and the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The JSON Schema of the elements of an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Value>,
    /// The only values it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enum_values: Option<Vec<Value>>,
    /// The smallest number, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    /// The largest number, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Number>,
    /// A regular expression that a string must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The JSON Schema format of a string, such as `date-time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether its value must not be shown in logs, events and the audit trail.
    pub secret: bool,
    /// How a boolean is written on the command line.
    pub flag: FlagStyle,
}

/// The JSON type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A list.
    Array,
    /// True or false.
    Boolean,
    /// A number without a fraction.
    Integer,
    /// Any number.
    Number,
    /// A JSON object.
    Object,
    /// Text; also what a parameter without a type takes.
    #[default]
    String,
}

impl Kind {
    /// Every kind, by name.
    pub const ALL: [Self; 6] = [
        Self::Array,
        Self::Boolean,
        Self::Integer,
        Self::Number,
        Self::Object,
        Self::String,
    ];

    /// The name in manifests and in JSON Schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }

    /// Whether `value` is of this kind, as JSON Schema sees it: `5.0` is an integer.
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::Array => value.is_array(),
            Self::Boolean => value.is_boolean(),
            Self::Integer => {
                value.is_i64()
                    || value.is_u64()
                    || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            Self::Number => value.is_number(),
            Self::Object => value.is_object(),
            Self::String => value.is_string(),
        }
    }
}

/// How a boolean is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagStyle {
    /// `--name true` or `--name false`.
    #[default]
    Value,
    /// `--name` where it is true, nothing where it is false.
    Flag,
}

/// The form of a parameter's name in which two spellings of one parameter are equal; `--` before it makes the flag.
pub(super) fn canonical(name: &str) -> String {
    name.replace('_', "-")
}
