//! From what a caller sent to exactly what will run.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::parameter::canonical;
use super::{FlagStyle, Kind, Parameter, Tool};

/// The arguments with which `tool` will run: what the policy decides on, the audit records and the plugin gets.
///
/// Nulls are dropped, names are spelled as declared, values take the declared form where that loses nothing, and
/// defaults are filled in. Declared arguments come first, in declared order, then the others as the caller ordered them.
/// Nothing is refused here: what does not fit is left for validation against [`Tool::input_schema`]. Normalising twice
/// changes nothing more.
pub fn normalise(tool: &Tool, arguments: Map<String, Value>) -> Map<String, Value> {
    let mut seen = HashSet::new();
    let mut declared = Map::new();
    let mut others = Map::new();
    for (name, value) in arguments {
        // Two spellings of one name would become one flag given twice: the first that says something wins.
        if value.is_null() || !seen.insert(canonical(&name)) {
            continue;
        }
        match tool.parameter(&name) {
            Some(parameter) => {
                declared.insert(parameter.name.clone(), shaped(parameter.kind, value))
            }
            None => others.insert(name, value),
        };
    }
    let mut normal = Map::new();
    for parameter in &tool.parameters {
        if let Some(value) = declared
            .remove(&parameter.name)
            .or_else(|| implied(parameter))
        {
            normal.insert(parameter.name.clone(), value);
        }
    }
    normal.extend(others);
    normal
}

/// `value` in the form that a parameter of this `kind` has, where callers are known to send another one.
pub(super) fn shaped(kind: Kind, value: Value) -> Value {
    match kind {
        Kind::Array => Value::Array(listed(value)),
        Kind::Integer => whole(&value).unwrap_or(value),
        Kind::Boolean | Kind::Number | Kind::Object | Kind::String => value,
    }
}

/// The default of a parameter that the caller did not give.
///
/// A flag that defaults to true stays absent: a flag cannot be written as false, and the default that argparse has for a
/// `store_false` flag speaks of what is stored when the flag is *not* given.
pub(super) fn implied(parameter: &Parameter) -> Option<Value> {
    let default = parameter.default.clone()?;
    match parameter.flag {
        FlagStyle::Flag if default != Value::Bool(false) => None,
        FlagStyle::Flag | FlagStyle::Value => Some(default),
    }
}

/// One value as a list of one, and the `{"item": …}` in which some clients wrap a list unwrapped.
fn listed(mut value: Value) -> Vec<Value> {
    let alone = value.as_object_mut().filter(|object| object.len() == 1);
    if let Some(wrapped) = alone.and_then(|object| object.remove("item")) {
        value = wrapped;
    }
    if let Value::Array(items) = value {
        items
    } else {
        vec![value]
    }
}

/// `5.0` as `5`: JSON Schema takes both for an integer, plugins and rules only the second.
fn whole(value: &Value) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: below it, every whole f64 is the number that was written
    let number = value.as_f64().filter(|_| value.is_f64())?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    (number.fract() == 0.0 && number.abs() < EXACT).then(|| Value::from(number as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::plugin::manifest::tests::tool;

    fn example() -> Tool {
        tool(&json!([
            {"name": "first-name"},
            {"name": "tags", "type": "array"},
            {"name": "limit", "type": "integer"},
            {"name": "ratio", "type": "number"},
        ]))
    }

    fn defaulting() -> Tool {
        tool(&json!([
            {"name": "environment", "default": "production"},
            {"name": "limit", "type": "integer", "default": 10},
            {"name": "tags", "type": "array", "default": "all"},
            {"name": "no-cache", "type": "boolean", "action": "store_false", "default": true},
            {"name": "verbose", "type": "boolean", "action": "store_true", "default": false},
            {"name": "wait", "type": "boolean", "default": true},
        ]))
    }

    fn check(row: &str, tool: &Tool, sent: &Value, expected: &Value) {
        let found = normalise(tool, sent.as_object().unwrap().clone());
        // Compared as text, since the order matters and equality of maps ignores it.
        assert_eq!(
            Value::Object(found).to_string(),
            expected.to_string(),
            "{row}"
        );
    }

    #[test]
    fn what_is_sent_becomes_what_runs() {
        let rows = [
            (
                "D6 as declared",
                json!({"first-name": "a"}),
                json!({"first-name": "a"}),
            ),
            (
                "R1 other spelling",
                json!({"first_name": "a"}),
                json!({"first-name": "a"}),
            ),
            (
                "R1 the first wins",
                json!({"first_name": "a", "first-name": "b"}),
                json!({"first-name": "a"}),
            ),
            (
                "R1 null does not win",
                json!({"first_name": null, "first-name": "b"}),
                json!({"first-name": "b"}),
            ),
            ("R2 null is absent", json!({"first-name": null}), json!({})),
            ("R5 list", json!({"tags": ["a"]}), json!({"tags": ["a"]})),
            ("R5 empty list", json!({"tags": []}), json!({"tags": []})),
            (
                "R5 item",
                json!({"tags": {"item": {"a": 1}}}),
                json!({"tags": [{"a": 1}]}),
            ),
            (
                "R5 item of a list",
                json!({"tags": {"item": [1, 2]}}),
                json!({"tags": [1, 2]}),
            ),
            (
                "R5 item and more",
                json!({"tags": {"item": 1, "b": 2}}),
                json!({"tags": [{"item": 1, "b": 2}]}),
            ),
            ("R5 scalar", json!({"tags": "a"}), json!({"tags": ["a"]})),
            (
                "item of what is no array",
                json!({"first-name": {"item": 1}}),
                json!({"first-name": {"item": 1}}),
            ),
            (
                "whole float of an integer",
                json!({"limit": 5.0}),
                json!({"limit": 5}),
            ),
            (
                "whole float of a number",
                json!({"ratio": 5.0}),
                json!({"ratio": 5.0}),
            ),
            (
                "a fraction is left to validation",
                json!({"limit": 5.5}),
                json!({"limit": 5.5}),
            ),
            (
                "declared order",
                json!({"limit": 1, "first-name": "a"}),
                json!({"first-name": "a", "limit": 1}),
            ),
            (
                "undeclared last",
                json!({"x_y": [1], "a": 2, "limit": 1}),
                json!({"limit": 1, "x_y": [1], "a": 2}),
            ),
            (
                "undeclared twice",
                json!({"x_y": 1, "x-y": 2}),
                json!({"x_y": 1}),
            ),
        ];
        for (row, sent, expected) in rows {
            check(row, &example(), &sent, &expected);
        }
    }

    #[test]
    fn defaults_are_filled_in_but_no_flag_is_set() {
        let rows = [
            (
                "nothing given",
                json!({}),
                json!({"environment": "production", "limit": 10, "tags": ["all"], "verbose": false, "wait": true}),
            ),
            (
                "all given",
                json!({"environment": "t", "limit": 1, "tags": [], "no_cache": true, "verbose": true, "wait": false}),
                json!({"environment": "t", "limit": 1, "tags": [], "no-cache": true, "verbose": true, "wait": false}),
            ),
        ];
        for (row, sent, expected) in rows {
            check(row, &defaulting(), &sent, &expected);
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e6..1e6).prop_map(Value::from),
            (-100i32..100).prop_map(|n| Value::from(f64::from(n))),
            "[a-z-]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                inner.clone().prop_map(|item| json!({"item": item})),
                ("[a-z]{1,2}", inner).prop_map(|(key, value)| json!({key: value})),
            ]
        })
    }

    fn any_arguments() -> impl Strategy<Value = Map<String, Value>> {
        let name = prop_oneof![
            prop::sample::select(vec![
                "first-name",
                "first_name",
                "tags",
                "limit",
                "no_cache",
                "x_y",
                "x-y"
            ])
            .prop_map(str::to_owned),
            "[a-z_-]{1,3}",
        ];
        prop::collection::vec((name, any_value()), 0..8)
            .prop_map(|pairs| pairs.into_iter().collect())
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(sent in any_arguments()) {
            for tool in [example(), defaulting()] {
                let once = normalise(&tool, sent.clone());
                let twice = normalise(&tool, once.clone());
                prop_assert_eq!(Value::Object(once).to_string(), Value::Object(twice).to_string());
            }
        }

        #[test]
        fn no_flag_is_given_twice_and_no_null_is_left(sent in any_arguments()) {
            let normal = normalise(&example(), sent);
            let flags: HashSet<_> = normal.keys().map(|name| canonical(name)).collect();
            prop_assert_eq!(flags.len(), normal.len());
            prop_assert!(normal.values().all(|value| !value.is_null()));
        }
    }
}
