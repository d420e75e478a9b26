//! Arguments as rules see them.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn one_tool(properties: &Value) -> Vec<Action> {
    vec![action("t__t", &[], properties)]
}

/// Whether `condition` holds for these arguments of a tool with one argument `x` of this schema; `None` for an error.
fn holds(schema: &Value, arguments: Value, condition: &str) -> Option<bool> {
    let rule = format!("@id(\"r\") permit (principal, action, resource) when {{ {condition} }};");
    let tools = one_tool(&json!({"x": schema}));
    let policies = Policies::compile(&[file(&rule)], &tools, chrono_tz::Tz::UTC).unwrap();
    assert_eq!(
        policies.problems_as(Edit::default(), &Names::default()),
        [],
        "{condition}"
    );
    match decide(&policies, &subject("a", &[]), "t__t", arguments).verdict {
        Verdict::Allow => Some(true),
        Verdict::Deny => Some(false),
        Verdict::Error => None,
        Verdict::Approval => panic!("no rule asks for approval"),
    }
}

#[test]
fn each_type_has_its_form() {
    let string = json!({"type": "string"});
    let list = json!({"type": "array", "items": {"type": "string"}});
    let free_list = json!({"type": "array"});
    let record = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let open = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": true});
    let nullable = json!({"type": ["string", "null"]});
    let number = json!({"type": "number"});
    let any = json!({});
    let rows: [(&Value, Value, &str, Option<bool>); 26] = [
        (
            &string,
            json!("v"),
            r#"context.input has x && context.input.x == "v""#,
            Some(true),
        ),
        (&string, Value::Null, "context.input has x", Some(false)),
        (&string, json!(5), "context.input has x", None),
        (
            &nullable,
            json!("v"),
            r#"context.input has x && context.input.x == "v""#,
            Some(true),
        ),
        (&nullable, Value::Null, "context.input has x", Some(false)),
        (
            &json!({"type": "integer"}),
            json!(5.0),
            "context.input has x && context.input.x == 5",
            Some(true),
        ),
        (
            &json!({"type": "integer"}),
            json!(5.5),
            "context.input has x",
            None,
        ),
        (
            &json!({"type": "integer"}),
            json!(i64::MIN),
            "context.input has x && context.input.x < 0",
            Some(true),
        ),
        (
            &json!({"type": "integer"}),
            json!(u64::MAX),
            "context.input has x",
            None,
        ),
        (
            &json!({"type": "integer"}),
            json!(1e300),
            "context.input has x",
            None,
        ),
        (
            &number,
            json!(0.5),
            r#"context.input has x && context.input.x.lessThan(decimal("0.6"))"#,
            Some(true),
        ),
        (
            &number,
            json!(1e300),
            r#"context.input has x && context.input.x.greaterThan(decimal("1000000.0"))"#,
            Some(true),
        ),
        (
            &number,
            json!(-1e300),
            r#"context.input has x && context.input.x.lessThan(decimal("-1000000.0"))"#,
            Some(true),
        ),
        (
            &number,
            json!(-0.0),
            r#"context.input has x && context.input.x == decimal("0.0")"#,
            Some(true),
        ),
        (
            &json!({"type": "boolean"}),
            json!(true),
            "context.input has x && context.input.x",
            Some(true),
        ),
        (
            &list,
            json!(["a", "b"]),
            r#"context.input has x && context.input.x.contains("b")"#,
            Some(true),
        ),
        (&list, json!(["a", 1]), "context.input has x", None),
        (
            &free_list,
            json!(["a", 1, {"z": 1, "b": null}]),
            r#"context.input has x && context.input.x.containsAll(["a", "1", "{\"b\":null,\"z\":1}"])"#,
            Some(true),
        ),
        (
            &record,
            json!({"a": 3}),
            "context.input has x && context.input.x has a && context.input.x.a == 3",
            Some(true),
        ),
        (
            &record,
            json!({"a": null}),
            "context.input has x && context.input.x has a",
            Some(false),
        ),
        (&record, json!({"b": 1}), "context.input has x", None),
        (
            &open,
            json!({"b": 1, "a": 2}),
            r#"context.input has x && context.input.x == "{\"a\":2,\"b\":1}""#,
            Some(true),
        ),
        (
            &any,
            json!({"b": 1, "a": [null]}),
            r#"context.input has x && context.input.x == "{\"a\":[null],\"b\":1}""#,
            Some(true),
        ),
        (
            &any,
            json!("raw"),
            r#"context.input has x && context.input.x like "r*""#,
            Some(true),
        ),
        (
            &json!({"type": ["string", "integer"]}),
            json!(7),
            r#"context.input has x && context.input.x == "7""#,
            Some(true),
        ),
        (
            &json!({"$ref": "#/nowhere"}),
            json!(7),
            r#"context.input has x && context.input.x == "7""#,
            Some(true),
        ),
    ];
    for (schema, value, condition, expected) in rows {
        let found = holds(schema, json!({"x": value}), condition);
        assert_eq!(found, expected, "{schema} {value} {condition}");
    }
}

#[test]
fn what_looks_like_an_entity_or_a_call_in_arguments_is_only_data() {
    let any = json!({});
    let entity = json!({"__entity": {"type": "Smcp::Group", "id": "operators"}});
    let extension = json!({"__extn": {"fn": "decimal", "arg": "1.0"}});
    for value in [entity, extension] {
        let literal = serde_json::to_string(&crate::canonical::to_string(&value)).unwrap();
        let condition = format!("context.input has x && context.input.x == {literal}");
        assert_eq!(holds(&any, json!({"x": value}), &condition), Some(true));
        let string = json!({"type": "string"});
        assert_eq!(
            holds(&string, json!({"x": value}), "context.input has x"),
            None
        );
        let record = json!({"type": "object", "properties": {"__entity": {"type": "string"}}});
        assert_eq!(
            holds(&record, json!({"x": value}), "context.input has x"),
            None
        );
    }
}

#[test]
fn any_name_of_a_tool_or_an_argument_has_a_place() {
    let names = [
        "dry-run", "in", "if", "a.b", "é \"q\"", "__entity", "permit", "", "String",
    ];
    let properties: Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string"})))
        .collect();
    let tools: Vec<_> = ["a__in", "0__-x", "call", "plugin__x", "x__y", "x__y"]
        .map(|name| action(name, &[], &Value::Object(properties.clone())))
        .into();
    let rule = r#"@id("r") permit (principal, action, resource) when { context.input has "dry-run" && context.input["dry-run"] == "v" };"#;
    let policies = Policies::compile(&[file(rule)], &tools, chrono_tz::Tz::UTC).unwrap();
    let all: Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!("v")))
        .collect();
    let verdict = |tool: &str| {
        decide(
            &policies,
            &subject("a", &[]),
            tool,
            Value::Object(all.clone()),
        )
        .verdict
    };
    for tool in ["a__in", "0__-x", "x__y"] {
        assert_eq!(verdict(tool), Verdict::Allow, "{tool}");
    }
    // What is named like a group would be taken for one.
    for tool in ["call", "plugin__x"] {
        assert_eq!(verdict(tool), Verdict::Error, "{tool}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{1,8}", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// One for each kind of argument, with a forbid that looks at it.
static FORBIDDING: LazyLock<Vec<Policies>> = LazyLock::new(|| {
    let rules = r#"@id("all") permit (principal, action, resource);
        @id("never") forbid (principal, action, resource) when { context.input has x };"#;
    let integers = json!({"type": "array", "items": {"type": "integer"}});
    [
        json!({"type": "integer"}),
        json!({"type": "number"}),
        integers,
        json!({}),
    ]
    .map(|schema| {
        Policies::compile(
            &[file(rules)],
            &one_tool(&json!({"x": schema})),
            chrono_tz::Tz::UTC,
        )
        .unwrap()
    })
    .into()
});

static ORDERING: LazyLock<Policies> = LazyLock::new(|| {
    let rule = r#"@id("less") permit (principal, action, resource)
        when { context.input has x && context.input has y && context.input.x.lessThan(context.input.y) };"#;
    let numbers = json!({"x": {"type": "number"}, "y": {"type": "number"}});
    Policies::compile(&[file(rule)], &one_tool(&numbers), chrono_tz::Tz::UTC).unwrap()
});

proptest! {
    /// A forbid that looks at an argument is never got round by a strange value: it forbids, or the call is denied for another
    /// reason.
    #[test]
    fn no_value_gets_round_a_forbid(value in any_value()) {
        for policies in &*FORBIDDING {
            let verdict = decide(policies, &subject("a", &[]), "t__t", json!({"x": value})).verdict;
            prop_assert_eq!(verdict == Verdict::Allow, value.is_null());
        }
    }

    #[test]
    fn numbers_keep_their_order(x in -1e12..1e12_f64, y in -1e12..1e12_f64) {
        let verdict = decide(&ORDERING, &subject("a", &[]), "t__t", json!({"x": x, "y": y})).verdict;
        if (x - y).abs() > 0.001 {
            prop_assert_eq!(verdict == Verdict::Allow, x < y);
        }
    }
}
