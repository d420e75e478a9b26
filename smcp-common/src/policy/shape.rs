//! From the JSON Schema of arguments to the types of rules, and from arguments to values of these types: one walk for both,
//! so that they cannot disagree.
//!
//! Values never go through Cedar's own reading of JSON, which obeys `{"__entity": …}` in them. What is free-form is text to
//! rules: a string as it is, all else as canonical JSON. A null is absent.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression as Expression;
use serde_json::{Map, Value, json};

use crate::canonical;

/// The largest number that rules can compare; larger ones are taken for it.
const LARGEST: f64 = 922_337_203_685_477.0;
/// Below it every whole `f64` is the number that was written.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The arguments of a tool, or the fields of an object among them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fields {
    by_name: BTreeMap<String, Field>,
    /// Whether other fields may be there.
    is_open: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Field {
    required: bool,
    shape: Shape,
    /// The only values that it, or each of its elements, may have.
    choices: Option<Vec<Value>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Text,
    /// Anything, as text.
    Free,
    Long,
    Decimal,
    Bool,
    Set(Box<Shape>),
    Record(Fields),
}

/// An argument that rules cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{path}' {problem}")]
pub(super) struct Unfit {
    /// Where, such as `target.ports`.
    path: String,
    problem: &'static str,
}

/// Arguments in the form of rules.
pub(super) struct Input {
    /// The declared ones, a record.
    pub declared: Expression,
    /// The others as canonical JSON, where there are any.
    pub undeclared: Option<String>,
}

impl Fields {
    /// Those that a JSON Schema of an object declares.
    pub(super) fn of(schema: &Value) -> Self {
        let required = schema["required"].as_array();
        let is_required = |name: &str| {
            required.is_some_and(|names| names.iter().any(|required| required == name))
        };
        let properties = schema["properties"].as_object();
        let by_name = properties.into_iter().flatten().map(|(name, property)| {
            let field = Field {
                required: is_required(name) && !is_nullable(property),
                shape: Shape::of(property),
                choices: choices(property),
            };
            (name.clone(), field)
        });
        Self {
            by_name: by_name.collect(),
            is_open: schema["additionalProperties"] != Value::Bool(false),
        }
    }

    /// Whether arguments that are not declared may come.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// The type of these fields in Cedar's JSON schemas.
    pub(super) fn cedar(&self) -> Value {
        let attributes: Map<_, _> = self
            .by_name
            .iter()
            .map(|(name, field)| {
                let mut kind = field.shape.cedar();
                kind["required"] = field.required.into();
                (name.clone(), kind)
            })
            .collect();
        json!({"type": "Record", "attributes": attributes})
    }

    /// The only values that the argument at `path`, or its elements, may have.
    pub(super) fn choices(&self, path: &[&str]) -> Option<&[Value]> {
        let (name, rest) = path.split_first()?;
        let field = self.by_name.get(*name)?;
        match (&field.shape, rest) {
            (_, []) => field.choices.as_deref(),
            (Shape::Record(fields), rest) => fields.choices(rest),
            (
                Shape::Text
                | Shape::Free
                | Shape::Long
                | Shape::Decimal
                | Shape::Bool
                | Shape::Set(_),
                _,
            ) => None,
        }
    }

    /// Whether there can be an argument at `path`.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        let Some((name, rest)) = path.split_first() else {
            return true;
        };
        match self.by_name.get(*name).map(|field| &field.shape) {
            Some(Shape::Record(fields)) => fields.has(rest),
            Some(_) => rest.is_empty(),
            None => false,
        }
    }

    /// The names of those that are always there.
    pub(super) fn required(&self) -> impl Iterator<Item = &str> {
        let required = self.by_name.iter().filter(|(_, field)| field.required);
        required.map(|(name, _)| name.as_str())
    }

    /// A value of the type of a declared argument.
    pub(super) fn blank(&self, name: &str) -> Option<Value> {
        Some(self.by_name.get(name)?.shape.blank())
    }

    /// These arguments as rules see them.
    ///
    /// # Errors
    /// The first argument that has no form in rules.
    pub(super) fn input(&self, arguments: &Map<String, Value>) -> Result<Input, Unfit> {
        let mut undeclared = Map::new();
        let declared = self.record(arguments, "", self.is_open.then_some(&mut undeclared))?;
        Ok(Input {
            declared,
            undeclared: (!undeclared.is_empty())
                .then(|| canonical::to_string(&Value::Object(undeclared))),
        })
    }

    /// `undeclared` gets what is not declared; without it, that is an error.
    fn record(
        &self,
        object: &Map<String, Value>,
        path: &str,
        mut undeclared: Option<&mut Map<String, Value>>,
    ) -> Result<Expression, Unfit> {
        let mut fields = Vec::with_capacity(object.len());
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let inner = || format!("{path}{name}");
            match (self.by_name.get(name), &mut undeclared) {
                (Some(field), _) => fields.push((name.clone(), field.shape.value(value, &inner)?)),
                (None, Some(others)) => {
                    others.insert(name.clone(), value.clone());
                }
                (None, None) => return Err(unfit(&inner, "is not declared")),
            }
        }
        Expression::new_record(fields).map_err(|_| unfit(&|| path.to_owned(), "is there twice"))
    }
}

impl Shape {
    fn of(schema: &Value) -> Self {
        match kind(schema) {
            Some("string") => Self::Text,
            Some("integer") => Self::Long,
            Some("number") => Self::Decimal,
            Some("boolean") => Self::Bool,
            Some("array") => Self::Set(Box::new(Self::of(&schema["items"]))),
            // What is said to have other fields, too, is shown whole; where nothing is said of them, they are refused.
            Some("object") if is_closed(schema) => Self::Record(Fields::of(schema)),
            Some(_) | None => Self::Free,
        }
    }

    fn cedar(&self) -> Value {
        match self {
            Self::Text | Self::Free => json!({"type": "String"}),
            Self::Long => json!({"type": "Long"}),
            Self::Decimal => json!({"type": "Extension", "name": "decimal"}),
            Self::Bool => json!({"type": "Boolean"}),
            Self::Set(element) => json!({"type": "Set", "element": element.cedar()}),
            Self::Record(fields) => fields.cedar(),
        }
    }

    fn blank(&self) -> Value {
        match self {
            Self::Text | Self::Free => json!(""),
            Self::Long => json!(0),
            Self::Decimal => json!(0.0),
            Self::Bool => json!(false),
            Self::Set(_) => json!([]),
            Self::Record(fields) => {
                let required = fields.by_name.iter().filter(|(_, field)| field.required);
                let blanks = required.map(|(name, field)| (name.clone(), field.shape.blank()));
                Value::Object(blanks.collect())
            }
        }
    }

    fn value(&self, value: &Value, path: &dyn Fn() -> String) -> Result<Expression, Unfit> {
        let is_no = |problem| unfit(path, problem);
        Ok(match self {
            Self::Text => {
                Expression::new_string(value.as_str().ok_or_else(|| is_no("is no text"))?.into())
            }
            Self::Free => Expression::new_string(
                value
                    .as_str()
                    .map_or_else(|| canonical::to_string(value), str::to_owned),
            ),
            Self::Long => Expression::new_long(
                whole(value).ok_or_else(|| is_no("is no whole number of 64 bits"))?,
            ),
            Self::Decimal => {
                let number = value.as_f64().ok_or_else(|| is_no("is no number"))?;
                // Rounding is monotone: a threshold is missed by at most 0.00005.
                Expression::new_decimal(format!("{:.4}", number.clamp(-LARGEST, LARGEST)))
            }
            Self::Bool => Expression::new_bool(
                value
                    .as_bool()
                    .ok_or_else(|| is_no("is neither true nor false"))?,
            ),
            Self::Set(element) => {
                let items = value.as_array().ok_or_else(|| is_no("is no list"))?;
                let shown = items
                    .iter()
                    .filter(|item| !item.is_null() || **element == Self::Free);
                Expression::new_set(
                    shown
                        .map(|item| element.value(item, path))
                        .collect::<Result<Vec<_>, _>>()?,
                )
            }
            Self::Record(fields) => {
                let object = value.as_object().ok_or_else(|| is_no("is no object"))?;
                fields.record(object, &format!("{}.", path()), None)?
            }
        })
    }
}

fn unfit(path: &dyn Fn() -> String, problem: &'static str) -> Unfit {
    let path = path();
    Unfit { path, problem }
}

/// The one type that is not `null`; `None` for a union, a reference, or where none is declared.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut others = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|kind| *kind != "null");
            others.next().filter(|_| others.next().is_none())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn is_nullable(schema: &Value) -> bool {
    schema["type"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"))
}

fn is_closed(schema: &Value) -> bool {
    let properties = schema["properties"].as_object();
    properties.is_some_and(|properties| !properties.is_empty())
        && matches!(
            schema["additionalProperties"],
            Value::Null | Value::Bool(false)
        )
}

fn choices(schema: &Value) -> Option<Vec<Value>> {
    let listed = |schema: &Value| schema["enum"].as_array().cloned();
    listed(schema).or_else(|| listed(&schema["items"]))
}

fn whole(value: &Value) -> Option<i64> {
    let float = || {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() < EXACT)
    };
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    value
        .as_i64()
        .or_else(|| float().map(|number| number as i64))
}
