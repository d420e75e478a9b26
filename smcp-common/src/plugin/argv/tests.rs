//! Command lines, row by row of the original's behaviour, and what must hold for all of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::plugin::{Manifest, normalise};

fn tool(parameters: &Value) -> Tool {
    let manifest =
        Manifest::parse(&json!({"commands": [{"name": "run", "parameters": parameters}]})).unwrap();
    manifest.into_tools("toy").0.remove(0)
}

/// The arguments of a call on the command line of a tool whose only parameter is `declared`.
fn rendered(declared: &Value, sent: &Value) -> Result<Vec<String>, ArgvError> {
    let tool = tool(&json!(declared.as_object().map(|declared| {
        let mut declared = declared.clone();
        declared.insert("name".to_owned(), json!("x_y"));
        [declared]
    })));
    let mut argv = render(&tool, &normalise(&tool, sent.as_object().unwrap().clone()))?;
    assert_eq!(argv.remove(0), "run", "R0");
    Ok(argv)
}

/// Row, declaration of the parameter `x_y`, arguments sent, arguments of the process after the command.
const ROWS: &str = r#"
R1 underscore                  | null                                          | {"x_y": "a"}               | ["--x-y", "a"]
R1 hyphen                      | null                                          | {"x-y": "a"}               | ["--x-y", "a"]
R1 both, null first            | null                                          | {"x-y": null, "x_y": "b"}  | ["--x-y", "b"]
R2 null                        | null                                          | {"x_y": null}              | []
R3 undeclared true             | null                                          | {"x_y": true}              | ["--x-y", "true"]
R3 undeclared false            | null                                          | {"x_y": false}             | ["--x-y", "false"]
R3 declared                    | {"type": "boolean"}                           | {"x_y": false}             | ["--x-y", "false"]
R4 store_true true             | {"type": "boolean", "action": "store_true"}   | {"x_y": true}              | ["--x-y"]
R4 store_true false            | {"type": "boolean", "action": "store_true"}   | {"x_y": false}             | []
R4 store_false true            | {"type": "boolean", "action": "store_false"}  | {"x_y": true}              | ["--x-y"]
R4 store_false false           | {"type": "boolean", "action": "store_false"}  | {"x_y": false}             | []
R5 text as is                  | {"type": "array"}                             | {"x_y": "[{\"a\":1}]"}     | ["--x-y", "[{\"a\":1}]"]
R5 item                        | {"type": "array"}                             | {"x_y": {"item": {"a": 1}}}| ["--x-y", "[{\"a\":1}]"]
R5 item of a list              | {"type": "array"}                             | {"x_y": {"item": [1, 2]}}  | ["--x-y", "1", "--x-y", "2"]
R5 other object                | {"type": "array"}                             | {"x_y": {"a": 1}}          | ["--x-y", "[{\"a\":1}]"]
R5 scalar                      | {"type": "array"}                             | {"x_y": 5}                 | ["--x-y", "5"]
R6 object                      | {"type": "object"}                            | {"x_y": {"k": "é"}}        | ["--x-y", "{\"k\":\"\\u00e9\"}"]
R6 list                        | {"type": "object"}                            | {"x_y": [1, 2]}            | ["--x-y", "[1,2]"]
R6 scalar                      | {"type": "object"}                            | {"x_y": "raw"}             | ["--x-y", "raw"]
R7 list with an object         | {"type": "array"}                             | {"x_y": [1, {"a": []}]}    | ["--x-y", "[1,{\"a\":[]}]"]
R7 undeclared list with a list | null                                          | {"x_y": [[1]]}             | ["--x-y", "[[1]]"]
R8 scalars                     | {"type": "array"}                             | {"x_y": ["a", 1.0, true]}  | ["--x-y", "a", "--x-y", "1.0", "--x-y", "True"]
R8 empty                       | {"type": "array"}                             | {"x_y": []}                | []
R9 undeclared object           | null                                          | {"x_y": {"a": [1, 2]}}     | ["--x-y", "{\"a\":[1,2]}"]
R10 text                       | null                                          | {"x_y": "é b"}             | ["--x-y", "é b"]
R10 empty text                 | null                                          | {"x_y": ""}                | ["--x-y", ""]
R10 integer                    | null                                          | {"x_y": 1}                 | ["--x-y", "1"]
R10 float                      | null                                          | {"x_y": 1.0}               | ["--x-y", "1.0"]
R10 large float                | null                                          | {"x_y": 1e21}              | ["--x-y", "1e+21"]
R11 like a flag                | null                                          | {"x_y": "--evil"}          | ["--x-y=--evil"]
R11 declared                   | {}                                            | {"x_y": "--evil=1"}        | ["--x-y=--evil=1"]
R11 like a short flag          | {}                                            | {"x_y": "-v"}              | ["--x-y=-v"]
R11 negative                   | {"type": "number"}                            | {"x_y": -1.5}              | ["--x-y=-1.5"]
R11 in a list                  | {"type": "array"}                             | {"x_y": ["a", "--b"]}      | ["--x-y", "a", "--x-y=--b"]
default                        | {"type": "integer", "default": 5}             | {}                         | ["--x-y", "5"]
"#;

#[test]
fn values_are_written_as_the_original_wrote_them() {
    for line in ROWS.trim().lines() {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [row, declared, sent, expected] = columns[..] else {
            panic!("not a row: {line}")
        };
        let read = |text| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(
            json!(rendered(&read(declared), &read(sent)).unwrap()),
            read(expected),
            "{row}"
        );
    }
}

#[test]
fn what_no_command_line_can_carry_is_refused() {
    let nul = |name: &str| ArgvError::NulByte {
        parameter: name.to_owned(),
    };
    let no_flag = |name: &str| ArgvError::NotAFlag {
        parameter: name.to_owned(),
    };
    let large = ArgvError::TooLarge {
        parameter: "a".to_owned(),
        bytes: 131_072,
        limit: 131_071,
    };
    let all = ArgvError::TotalTooLarge {
        bytes: 4 + 8 * (4 + 131_072),
        limit: 1_048_576,
    };
    let rows = [
        ("NUL in a value", json!({"a": "x\0"}), nul("a")),
        ("NUL in a list", json!({"a": ["x", "\0"]}), nul("a")),
        ("NUL in a name", json!({"a\0": 1}), nul("a\0")),
        ("no name", json!({"": "a"}), no_flag("")),
        ("a name with a value", json!({"a=b": "c"}), no_flag("a=b")),
        ("a name with a space", json!({"a b": "c"}), no_flag("a b")),
        (
            "one byte too many",
            json!({"a": "x".repeat(131_072)}),
            large,
        ),
        (
            "too much in all",
            json!({"a": vec!["x".repeat(131_071); 8]}),
            all,
        ),
    ];
    for (row, sent, expected) in rows {
        assert_eq!(rendered(&json!(null), &sent), Err(expected), "{row}");
    }
    assert!(
        rendered(&json!(null), &json!({"a": "x".repeat(131_071)})).is_ok(),
        "the longest that fits"
    );
    assert_eq!(
        rendered(&json!(null), &json!({"a": {"b": "\0"}})).unwrap(),
        ["--a", "{\"b\":\"\\u0000\"}"]
    );
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[-= a-zé]{0,6}".prop_map(Value::from),
        "-{0,3}[a-z=]{0,3}".prop_map(Value::from),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            ("[-a-z]{1,4}", inner).prop_map(|(key, value)| json!({key: value})),
        ]
    })
}

fn any_call() -> impl Strategy<Value = (Tool, Map<String, Value>)> {
    let kind = prop::sample::select(Kind::ALL.map(Kind::as_str).to_vec());
    let action = prop::sample::select(vec!["store", "store_true"]);
    let declared =
        prop::collection::vec(("[a-d_-]{1,3}", kind, action), 0..4).prop_map(|parameters| {
            let parameters: Vec<_> = parameters
                .into_iter()
                .map(|(name, kind, action)| json!({"name": name, "type": kind, "action": action}))
                .collect();
            tool(&json!(parameters))
        });
    let sent = prop::collection::vec(("[a-d_-]{1,3}", any_value()), 0..6);
    (declared, sent).prop_map(|(tool, sent)| {
        let arguments = normalise(&tool, sent.into_iter().collect());
        (tool, arguments)
    })
}

proptest! {
    #[test]
    fn a_parser_finds_our_flags_and_nothing_else((tool, arguments) in any_call()) {
        let flags: Vec<_> = arguments.keys().map(|name| flag(name).unwrap()).collect();
        let argv = render(&tool, &arguments).unwrap();
        let mut elements = argv[1..].iter().peekable();
        while let Some(element) = elements.next() {
            let name = element.split_once('=').map_or(element.as_str(), |(name, _)| name);
            prop_assert!(flags.iter().any(|flag| flag == name), "{} is none of our flags", element);
            if !element.contains('=') {
                elements.next_if(|value| !value.starts_with('-'));
            }
        }
    }

    #[test]
    fn a_text_reaches_the_plugin_unchanged(text in "[^\0]{0,20}") {
        let argv = rendered(&json!({}), &json!({"x_y": text})).unwrap();
        let value = match argv.as_slice() {
            [whole] => whole.strip_prefix("--x-y="),
            [_, value] => Some(value.as_str()),
            _ => None,
        };
        prop_assert_eq!(value, Some(text.as_str()));
    }
}
