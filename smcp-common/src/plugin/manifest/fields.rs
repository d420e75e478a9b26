//! Reading one JSON object of a manifest, field by field, noting what is wrong under its path.

use std::ops::RangeInclusive;

use serde_json::{Map, Number, Value};

use super::Problem;

/// What reading a manifest has found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Why the plugin is refused.
    pub(super) problems: Vec<Problem>,
    /// What is ignored.
    pub(super) warnings: Vec<Problem>,
}

/// The fields of one object. Null counts as absent.
#[derive(Debug)]
pub(super) struct Fields<'a, 'f> {
    object: &'a Map<String, Value>,
    path: String,
    keys: &'static [&'static str],
    findings: &'f mut Findings,
}

impl<'a, 'f> Fields<'a, 'f> {
    /// The fields of `object`, which stands at `path` and has no other known keys than `keys`.
    pub(super) fn of(
        object: &'a Map<String, Value>,
        path: String,
        keys: &'static [&'static str],
        findings: &'f mut Findings,
    ) -> Self {
        Self {
            object,
            path,
            keys,
            findings,
        }
    }

    /// The same where `value` is an object; else nothing, and a problem.
    pub(super) fn of_value(
        value: &'a Value,
        path: String,
        keys: &'static [&'static str],
        findings: &'f mut Findings,
    ) -> Option<Self> {
        if let Value::Object(object) = value {
            return Some(Self::of(object, path, keys, findings));
        }
        findings
            .problems
            .push(Problem(format!("{path} must be an object")));
        None
    }

    /// Notes keys that are not known, where a misspelt one would silently be missing.
    pub(super) fn refuse_others(&mut self) {
        let keys = self.keys;
        let others = self
            .object
            .keys()
            .filter(|key| !keys.contains(&key.as_str()));
        for key in others {
            let problem = format!("{}: unknown key '{key}'", self.path);
            self.problem(problem);
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        // Keeps the lists of keys complete, which a test compares with the published schema.
        debug_assert!(
            self.keys.contains(&key),
            "{key} is not listed as a known key"
        );
        self.object.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn string(&mut self, key: &str) -> Option<&'a str> {
        self.typed(key, "a string", Value::as_str)
    }

    /// A string that says something.
    pub(super) fn filled(&mut self, key: &str) -> Option<&'a str> {
        self.typed(key, "a non-empty string", |value| {
            value.as_str().filter(|text| !text.trim().is_empty())
        })
    }

    /// [`Fields::filled`], which must be there.
    pub(super) fn name(&mut self) -> Option<&'a str> {
        if self.get("name").is_none() {
            self.wrong("name", "is required");
        }
        self.filled("name")
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.typed(key, "a boolean", Value::as_bool)
    }

    pub(super) fn number(&mut self, key: &str) -> Option<&'a Number> {
        self.typed(key, "a number", Value::as_number)
    }

    pub(super) fn integer(&mut self, key: &str, range: &RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("an integer between {} and {}", range.start(), range.end());
        self.typed(key, &expected, |value| {
            value.as_u64().filter(|number| range.contains(number))
        })
    }

    pub(super) fn array(&mut self, key: &str) -> Option<&'a [Value]> {
        self.typed(key, "an array", |value| value.as_array().map(Vec::as_slice))
    }

    /// An array with something in it.
    pub(super) fn list(&mut self, key: &str) -> Option<&'a [Value]> {
        self.typed(key, "a non-empty array", |value| {
            value
                .as_array()
                .map(Vec::as_slice)
                .filter(|items| !items.is_empty())
        })
    }

    pub(super) fn object(&mut self, key: &str) -> Option<&'a Map<String, Value>> {
        self.typed(key, "an object", Value::as_object)
    }

    /// The fields of an object within this one.
    pub(super) fn nested(
        &mut self,
        key: &str,
        keys: &'static [&'static str],
    ) -> Option<Fields<'a, '_>> {
        let object = self.object(key)?;
        Some(Fields::of(object, self.at(key), keys, self.findings))
    }

    /// One of the values `all`, by `name`.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        key: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        let value = self.get(key)?;
        let found = choice(value, all, name);
        found.map_err(|why| self.wrong(key, why)).ok()
    }

    /// A non-empty array of values of `all`, by `name`.
    pub(super) fn some_of<T: Copy>(
        &mut self,
        key: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<Vec<T>> {
        let mut found = Vec::new();
        for (i, value) in self.list(key)?.iter().enumerate() {
            match choice(value, all, name) {
                Ok(value) => found.push(value),
                Err(why) => self.wrong(&format!("{key}[{i}]"), why),
            }
        }
        Some(found)
    }

    /// The path of a field.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes that the field `key` `is` not as it should be.
    pub(super) fn wrong(&mut self, key: &str, is: impl AsRef<str>) {
        self.problem(format!("{} {}", self.at(key), is.as_ref()));
    }

    /// Notes that what the field `key` declares `is` not used.
    pub(super) fn ignored(&mut self, key: &str, is: impl AsRef<str>) {
        let warning = Problem(format!("{} {}", self.at(key), is.as_ref()));
        self.findings.warnings.push(warning);
    }

    /// Notes something wrong with the whole.
    pub(super) fn problem(&mut self, what: String) {
        self.findings.problems.push(Problem(what));
    }

    /// Where the reader of something nested notes what it finds.
    pub(super) fn findings(&mut self) -> &mut Findings {
        self.findings
    }

    fn typed<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let found = read(self.get(key)?);
        if found.is_none() {
            self.wrong(key, format!("must be {expected}"));
        }
        found
    }
}

fn choice<T: Copy>(value: &Value, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
    let found = all
        .iter()
        .copied()
        .find(|candidate| value.as_str() == Some(name(*candidate)));
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().copied().map(name).collect();
        let shown = value
            .as_str()
            .map_or_else(|| value.to_string(), |text| format!("'{text}'"));
        format!("{shown} is not one of {}", names.join("|"))
    })
}
