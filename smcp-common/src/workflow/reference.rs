//! References in arguments: `${steps.build.result.version}`. Where they stand, and what is put in their place.

use std::fmt;

use serde_json::{Map, Value};

/// A reference to something about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The step's id.
    pub step: String,
    /// What of it.
    pub part: Part,
}

/// What a reference means of its step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `.state`: how it ended.
    State,
    /// `.job`: the id of its job.
    Job,
    /// `.error.code`.
    ErrorCode,
    /// `.error.message`.
    ErrorMessage,
    /// `.result`, and a way into it.
    Result(Vec<Key>),
}

/// One step of the way into a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// `.name` of an object.
    Name(String),
    /// `[n]` of an array, from 0.
    Index(usize),
}

/// A piece of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Reference(Reference),
}

/// A reference as it was found: its place, such as `arguments.version`, and what it is, or what is wrong with it.
pub(super) type Found = (String, Result<Reference, String>);

/// Every reference in arguments, in order; `place` is where the arguments stand.
pub(super) fn references(arguments: &Map<String, Value>, place: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (name, value) in arguments {
        collect(value, &format!("{place}.{name}"), &mut found);
    }
    found
}

/// Whether `value` has references in it, so that what it will be is known only when its step begins.
pub fn has_references(value: &Value) -> bool {
    let mut found = Vec::new();
    collect(value, "", &mut found);
    !found.is_empty()
}

/// Arguments without references as they will be passed: with `${` where they say `$${`. References stay as they are.
pub fn literal(arguments: &Map<String, Value>) -> Map<String, Value> {
    let keep = &mut |reference: &Reference| Ok(Value::from(reference.to_string()));
    // What is no reference is a problem of the definition, and has been told.
    resolve(arguments, keep).unwrap_or_else(|_| arguments.clone())
}

/// The arguments with what `look_up` answers in the place of the references.
///
/// # Errors
/// What `look_up` says of the first reference that it cannot answer.
pub(super) fn resolve(
    arguments: &Map<String, Value>,
    look_up: &mut dyn FnMut(&Reference) -> Result<Value, String>,
) -> Result<Map<String, Value>, String> {
    arguments
        .iter()
        .map(|(name, value)| Ok((name.clone(), resolved(value, look_up)?)))
        .collect()
}

/// What is at the end of the way into a result.
///
/// # Errors
/// Where the way ends, in words.
pub(super) fn walk(result: &Value, way: &[Key]) -> Result<Value, String> {
    let (mut here, mut place) = (result, String::from("result"));
    for key in way {
        let next = match key {
            Key::Name(name) => here.get(name),
            Key::Index(index) => here.get(index),
        };
        here = next.ok_or_else(|| format!("{place} has no {}", described(key)))?;
        place.push_str(&key.to_string());
    }
    Ok(here.clone())
}

fn described(key: &Key) -> String {
    match key {
        Key::Name(name) => format!("'{name}'"),
        Key::Index(index) => format!("element [{index}]"),
    }
}

fn collect(value: &Value, place: &str, found: &mut Vec<Found>) {
    match value {
        Value::String(text) => {
            for piece in pieces(text) {
                match piece {
                    Ok(Piece::Text(_)) => {}
                    Ok(Piece::Reference(reference)) => {
                        found.push((place.to_owned(), Ok(reference)));
                    }
                    Err(problem) => found.push((place.to_owned(), Err(problem))),
                }
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                collect(item, &format!("{place}[{n}]"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, &format!("{place}.{name}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn resolved(
    value: &Value,
    look_up: &mut dyn FnMut(&Reference) -> Result<Value, String>,
) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => in_text(text, look_up)?,
        Value::Array(items) => items
            .iter()
            .map(|item| resolved(item, look_up))
            .collect::<Result<_, _>>()?,
        Value::Object(fields) => resolve(fields, look_up)?.into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// A string that is one reference keeps the type of what it refers to; in other text, that is put in as text.
fn in_text(
    text: &str,
    look_up: &mut dyn FnMut(&Reference) -> Result<Value, String>,
) -> Result<Value, String> {
    let pieces = pieces(text).collect::<Result<Vec<_>, _>>()?;
    if let [Piece::Reference(reference)] = pieces.as_slice() {
        return look_up(reference);
    }
    let mut whole = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => whole.push_str(&text),
            Piece::Reference(reference) => {
                let value = look_up(&reference)?;
                match value.as_str() {
                    Some(text) => whole.push_str(text),
                    None => whole.push_str(&value.to_string()),
                }
            }
        }
    }
    Ok(Value::String(whole))
}

/// A string in pieces: text in which `$${` has become `${`, and references.
fn pieces(text: &str) -> impl Iterator<Item = Result<Piece, String>> {
    let mut pieces = Vec::new();
    let (mut rest, mut plain) = (text, String::new());
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            plain.push_str(&rest[..at]);
            plain.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        plain.push_str(&rest[..at]);
        let Some(length) = rest[at..].find('}') else {
            pieces.push(Err(format!(
                "'{}' has no closing brace; write $${{ for a literal ${{",
                shortened(&rest[at..])
            )));
            rest = "";
            break;
        };
        if !plain.is_empty() {
            pieces.push(Ok(Piece::Text(std::mem::take(&mut plain))));
        }
        let inner = &rest[at + 2..at + length];
        pieces.push(parse(inner).map(Piece::Reference));
        rest = &rest[at + length + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Ok(Piece::Text(plain)));
    }
    pieces.into_iter()
}

fn parse(inner: &str) -> Result<Reference, String> {
    let whole = format!("${{{}}}", shortened(inner));
    let Some(after) = inner.trim().strip_prefix("steps.") else {
        return Err(format!(
            "{whole} refers to nothing: references begin with 'steps.'; write $${{ for a literal ${{"
        ));
    };
    let expected = || {
        format!(
            "{whole} is no reference: after the step's id comes .result, and a way into it such as .versions[0].name, \
             .state, .job, .error.code or .error.message"
        )
    };
    let (step, path) = after.split_once('.').ok_or_else(expected)?;
    let part = match path {
        "state" => Part::State,
        "job" => Part::Job,
        "error.code" => Part::ErrorCode,
        "error.message" => Part::ErrorMessage,
        _ => Part::Result(
            path.strip_prefix("result")
                .and_then(way)
                .ok_or_else(expected)?,
        ),
    };
    Ok(Reference {
        step: step.to_owned(),
        part,
    })
}

/// The way that `.a.b[0]` is.
fn way(mut text: &str) -> Option<Vec<Key>> {
    let mut keys = Vec::new();
    while !text.is_empty() {
        if let Some(after) = text.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, rest) = after.split_at(end);
            if name.is_empty() {
                return None;
            }
            keys.push(Key::Name(name.to_owned()));
            text = rest;
        } else {
            let (index, rest) = text.strip_prefix('[')?.split_once(']')?;
            keys.push(Key::Index(index.parse().ok()?));
            text = rest;
        }
    }
    Some(keys)
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{steps.{}", self.step)?;
        match &self.part {
            Part::State => f.write_str(".state")?,
            Part::Job => f.write_str(".job")?,
            Part::ErrorCode => f.write_str(".error.code")?,
            Part::ErrorMessage => f.write_str(".error.message")?,
            Part::Result(way) => {
                f.write_str(".result")?;
                for key in way {
                    write!(f, "{key}")?;
                }
            }
        }
        f.write_str("}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, ".{name}"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_read_and_refused_with_their_reason() {
        let rows = [
            ("${steps.a.result}", Ok("${steps.a.result}")),
            ("${ steps.a.result.v[0].x }", Ok("${steps.a.result.v[0].x}")),
            ("${steps.a.result[2]}", Ok("${steps.a.result[2]}")),
            ("${steps.a.state}", Ok("${steps.a.state}")),
            ("${steps.a.job}", Ok("${steps.a.job}")),
            ("${steps.a.error.code}", Ok("${steps.a.error.code}")),
            ("${env.HOME}", Err("begin with 'steps.'")),
            ("${steps.a}", Err("after the step's id comes .result")),
            ("${steps.a.results}", Err("after the step's id")),
            ("${steps.a.result..b}", Err("after the step's id")),
            ("${steps.a.result[x]}", Err("after the step's id")),
            ("${steps.a.error}", Err("after the step's id")),
            ("a ${steps.a.state", Err("has no closing brace")),
        ];
        for (text, expected) in rows {
            let arguments = Map::from_iter([("x".to_owned(), json!([text]))]);
            let found = references(&arguments, "steps[0].arguments");
            let [(place, found)] = found.as_slice() else {
                panic!("{text}: {found:?}")
            };
            assert_eq!(place, "steps[0].arguments.x[0]");
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, expected) => panic!("{text}: {found:?} is not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_reference_alone_keeps_its_type_and_one_in_text_becomes_text() {
        let result = json!({"n": 7, "list": [{"name": "é"}], "text": "x", "none": null});
        let mut look_up = |reference: &Reference| match &reference.part {
            Part::Result(way) => walk(&result, way),
            Part::State | Part::Job | Part::ErrorCode | Part::ErrorMessage => {
                Ok(json!("succeeded"))
            }
        };
        let rows = [
            (json!("${steps.a.result.n}"), json!(7)),
            (json!("v${steps.a.result.n}"), json!("v7")),
            (json!("${steps.a.result.list[0].name}!"), json!("é!")),
            (json!("${steps.a.result.list}"), json!([{"name": "é"}])),
            (
                json!({"deep": [true, "${steps.a.result.text}"]}),
                json!({"deep": [true, "x"]}),
            ),
            (
                json!("${steps.a.result.n}${steps.a.result.none}"),
                json!("7null"),
            ),
            (json!("${steps.a.state}"), json!("succeeded")),
            (
                json!("$${steps.a.state} costs $5"),
                json!("${steps.a.state} costs $5"),
            ),
            (json!("$"), json!("$")),
            (json!(""), json!("")),
        ];
        for (given, expected) in rows {
            let arguments = Map::from_iter([("x".to_owned(), given)]);
            assert_eq!(
                resolve(&arguments, &mut look_up).unwrap()["x"],
                expected,
                "{arguments:?}"
            );
        }
        let missing = Map::from_iter([("x".to_owned(), json!("${steps.a.result.list[1].name}"))]);
        assert_eq!(
            resolve(&missing, &mut look_up),
            Err("result.list has no element [1]".to_owned())
        );
    }

    proptest! {
        #[test]
        fn any_text_can_be_written(text in "[${}a.steps\\[\\]é]{0,40}|.{0,40}") {
            let escaped = Value::from(text.replace("${", "$${"));
            prop_assert!(!has_references(&escaped));
            let arguments = Map::from_iter([("x".to_owned(), escaped)]);
            prop_assert_eq!(&literal(&arguments)["x"], &text);
            // Whatever it is read as, nothing panics.
            let found = references(&Map::from_iter([("x".to_owned(), Value::from(text))]), "");
            drop(found);
        }
    }
}
