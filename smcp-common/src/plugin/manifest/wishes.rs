//! What a plugin says of its surroundings: `plugin.sandbox`, `plugin.files` and `plugin.runtime`. Unlike elsewhere in a manifest, a key
//! that is not known is a problem: what a misspelt one asks for would silently be missing.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Problem;
use super::fields::Fields;
use crate::plugin::Runtime;
use crate::sandbox::{EnvTerms, FilesystemTerms, LimitTerms, NetworkTerms, Terms, is_plain};

/// A plugin of more files elsewhere should have a directory.
pub(super) const MAX_FILES: usize = 16;

/// More would not be read by anybody.
const MAX_PROBLEMS: usize = 20;
const MAX_PROBLEM_CHARACTERS: usize = 500;

/// What the plugin, or a command of it, asks to be allowed.
pub(super) fn sandbox(fields: &mut Fields<'_, '_>) -> Option<Terms> {
    let declared = present(fields.object("sandbox")?);
    let path = fields.at("sandbox");
    let mut found: Vec<_> = declared
        .iter()
        .flat_map(|(section, keys)| section_misfits(&path, section, keys))
        .collect();
    let sections = declared.iter().map(|(section, keys)| {
        let keys = keys
            .as_object()
            .map_or_else(|| keys.clone(), |keys| Value::Object(present(keys)));
        (section.clone(), keys)
    });
    let terms: Option<Terms> = serde_json::from_value(sections.collect()).ok();
    let problems = terms.iter().flat_map(Terms::problems);
    found.extend(problems.map(|problem| format!("{path}.{problem}")));
    note(fields, found);
    terms
}

/// The files outside of its directory that are a part of the plugin.
pub(super) fn files(fields: &mut Fields<'_, '_>) -> Vec<PathBuf> {
    let Some(listed) = fields.array("files") else {
        return Vec::new();
    };
    if listed.len() > MAX_FILES {
        let length = listed.len();
        fields.wrong(
            "files",
            format!("has {length} entries, but may have at most {MAX_FILES}"),
        );
    }
    let mut files = Vec::new();
    for (i, value) in listed.iter().enumerate() {
        match value.as_str().map(PathBuf::from) {
            Some(path) if is_plain(&path) && path.file_name().is_some() => {
                if !files.contains(&path) {
                    files.push(path);
                }
            }
            _ => fields.wrong(
                &format!("files[{i}]"),
                format!("is {value}, but must be the absolute path of a file, without .."),
            ),
        }
    }
    files
}

/// Notes what the plugin itself finds wrong, such as with its configuration.
pub(super) fn problems(fields: &mut Fields<'_, '_>) {
    let told = fields.array("problems").unwrap_or_default();
    for (i, value) in told.iter().enumerate().take(MAX_PROBLEMS) {
        match value.as_str() {
            Some(text) => {
                let text = text.chars().take(MAX_PROBLEM_CHARACTERS).collect();
                fields.findings().warnings.push(Problem(text));
            }
            None => fields.wrong(&format!("problems[{i}]"), "must be a string"),
        }
    }
    if let Some(more) = told
        .len()
        .checked_sub(MAX_PROBLEMS)
        .filter(|more| *more > 0)
    {
        let text = format!("and {more} more problems that it tells");
        fields.findings().warnings.push(Problem(text));
    }
}

/// How the plugin wants to be run.
pub(super) fn runtime(fields: &mut Fields<'_, '_>) -> Option<Runtime> {
    let declared = present(fields.object("runtime")?);
    let found = misfits::<Runtime>(&fields.at("runtime"), &declared);
    note(fields, found);
    serde_json::from_value(Value::Object(declared)).ok()
}

fn section_misfits(path: &str, section: &str, keys: &Value) -> Vec<String> {
    let below = format!("{path}.{section}");
    let Value::Object(keys) = keys else {
        return vec![format!("{below} must be an object")];
    };
    let keys = present(keys);
    match section {
        "filesystem" => misfits::<FilesystemTerms>(&below, &keys),
        "network" => misfits::<NetworkTerms>(&below, &keys),
        "limits" => misfits::<LimitTerms>(&below, &keys),
        "env" => misfits::<EnvTerms>(&below, &keys),
        unknown => misfits::<Terms>(path, &Map::from_iter([(unknown.to_owned(), Value::Null)])),
    }
}

/// What keeps `object` from being a `T`, key by key, each under its path.
fn misfits<T: DeserializeOwned>(path: &str, object: &Map<String, Value>) -> Vec<String> {
    let misfit = |key: &str, value: Value| {
        let alone = Map::from_iter([(key.to_owned(), value)]);
        let read = serde_json::from_value::<T>(Value::Object(alone));
        read.err().map(|error| error.to_string())
    };
    let mut found = Vec::new();
    for (key, value) in object {
        let Some(why) = misfit(key, value.clone()) else {
            continue;
        };
        let of_elements: Vec<_> = value
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(i, element)| Some((i, misfit(key, Value::from_iter([element.clone()]))?)))
            .collect();
        if why.starts_with("unknown field") {
            found.push(format!("{path}: {why}"));
        } else if of_elements.is_empty() {
            found.push(format!("{path}.{key}: {why}"));
        } else {
            let under_path = |(i, why)| format!("{path}.{key}[{i}]: {why}");
            found.extend(of_elements.into_iter().map(under_path));
        }
    }
    found
}

/// Null is the same as absent.
fn present(object: &Map<String, Value>) -> Map<String, Value> {
    let present = object.iter().filter(|(_, value)| !value.is_null());
    present
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn note(fields: &mut Fields<'_, '_>, found: Vec<String>) {
    let found = found.into_iter().map(Problem);
    fields.findings().problems.extend(found);
}
