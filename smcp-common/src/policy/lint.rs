//! Comparisons with values that an argument never has. Cedar does not see them, as enumerations are text to it.

use serde_json::{Map, Value};

use super::governed::Governed;

/// A comparison that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The value, as JSON writes it.
    pub literal: String,
    /// What is wrong.
    pub message: String,
}

/// What the rule compares with something else than the tools that it covers take. `rule` is its JSON.
pub(super) fn findings(rule: &Value, covered: &[&Governed]) -> Vec<Finding> {
    let mut comparisons = Vec::new();
    collect(&rule["conditions"], &mut comparisons);
    comparisons
        .into_iter()
        .filter_map(|(path, literal)| misfit(&path, literal, covered))
        .collect()
}

fn misfit(path: &[&str], literal: &Value, covered: &[&Governed]) -> Option<Finding> {
    let mut with: Vec<_> = covered
        .iter()
        .filter(|tool| tool.fields.has(path))
        .collect();
    with.sort_unstable_by_key(|tool| &tool.action.name);
    let mut taken = Vec::new();
    for tool in &with {
        let choices = tool.fields.choices(path)?;
        if choices.contains(literal) {
            return None;
        }
        taken.extend(
            choices
                .iter()
                .filter(|choice| !taken.contains(choice))
                .collect::<Vec<_>>(),
        );
    }
    let first = with.first()?;
    let taken: Vec<_> = taken.iter().map(ToString::to_string).collect();
    Some(Finding {
        literal: literal.to_string(),
        message: format!(
            "context.input.{} of {} is never {literal}, but one of {}",
            path.join("."),
            first.action.name,
            taken.join(", ")
        ),
    })
}

type Comparison<'j> = (Vec<&'j str>, &'j Value);

fn collect<'j>(expression: &'j Value, found: &mut Vec<Comparison<'j>>) {
    match expression {
        Value::Object(fields) => {
            for (operator, operands) in fields {
                if matches!(
                    operator.as_str(),
                    "==" | "!=" | "contains" | "containsAny" | "containsAll"
                ) {
                    let (left, right) = (&operands["left"], &operands["right"]);
                    compare(left, right, found);
                    compare(right, left, found);
                }
                collect(operands, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn compare<'j>(argument: &'j Value, with: &'j Value, found: &mut Vec<Comparison<'j>>) {
    if let Some(path) = input_path(argument) {
        found.extend(
            literals(with)
                .into_iter()
                .map(|literal| (path.clone(), literal)),
        );
    }
}

/// `context.input.a.b` as `["a", "b"]`.
fn input_path(expression: &Value) -> Option<Vec<&str>> {
    let mut path = path(expression)?;
    let is_argument = path.len() > 1 && path.first() == Some(&"input");
    is_argument.then(|| path.split_off(1))
}

fn path(expression: &Value) -> Option<Vec<&str>> {
    if expression["Var"] == "context" {
        return Some(Vec::new());
    }
    let access = &expression["."];
    let mut path = path(access.get("left")?)?;
    path.push(access["attr"].as_str()?);
    Some(path)
}

fn literals(expression: &Value) -> Vec<&Value> {
    let one = |expression: &Value| expression.as_object().is_some_and(is_literal);
    let items = match &expression["Set"] {
        Value::Array(items) => items.as_slice(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            std::slice::from_ref(expression)
        }
    };
    items
        .iter()
        .filter(|item| one(item))
        .map(|item| &item["Value"])
        .collect()
}

fn is_literal(expression: &Map<String, Value>) -> bool {
    let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    expression.get("Value").is_some_and(scalar)
}
