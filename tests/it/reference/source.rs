//! What the sources say: the words beside a constant or a variant, and the literals in certain places.

use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// The text of a source file without its tests.
pub(super) fn read(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let tests = text.find("\n#[cfg(test)]").unwrap_or(text.len());
    text[..tests].to_owned()
}

/// The source files in and below a directory, but for those of tests.
pub(super) fn files(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
            if path.is_dir() && !is_test {
                left.push(path);
            } else if !is_test && path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The constants of a module `code`: their texts, with what is said of each.
pub(super) fn codes(path: &str) -> Vec<(String, String)> {
    let text = read(path);
    let (_, module) = text.split_once("pub mod code {").unwrap();
    let (module, _) = module.split_once("\n}").unwrap();
    documented(module, |line| {
        let (_, value) = line.strip_prefix("pub const ")?.split_once("= \"")?;
        Some(value.trim_end_matches("\";").to_owned())
    })
}

/// The variants of an enum: their names as they are stored, with what is said of each.
pub(super) fn variants(path: &str, name: &str) -> Vec<(String, String)> {
    let text = read(path);
    let (_, body) = text.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let is_outermost = |line: &&str| line.starts_with("    ") && !line.starts_with("     ");
    let outermost: Vec<_> = body.lines().filter(is_outermost).collect();
    documented(&outermost.join("\n"), |line| {
        let end = line.find(|c: char| !c.is_alphanumeric());
        let name = &line[..end.unwrap_or(line.len())];
        name.starts_with(|c: char| c.is_ascii_uppercase())
            .then(|| snake(name))
    })
}

fn documented(text: &str, item: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let (mut found, mut said) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            said += if said.is_empty() { "" } else { " " };
            said += words.trim();
        } else if let Some(name) = item(line) {
            found.push((name, plain(&std::mem::take(&mut said))));
        }
    }
    found
}

/// Without the brackets of links to other items.
fn plain(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`")
}

pub(super) fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// The texts between quotes that follow `before` directly, or after a status of HTTP.
pub(super) fn literals_after(text: &str, before: &str) -> Vec<String> {
    let follows = |(at, _): (usize, &str)| {
        let rest = text[at + before.len()..].trim_start();
        let rest = match rest.strip_prefix("StatusCode::") {
            Some(status) => status.split_once(',')?.1.trim_start(),
            None => rest,
        };
        let (literal, _) = rest.strip_prefix('"')?.split_once('"')?;
        Some(literal.to_owned())
    };
    text.match_indices(before).filter_map(follows).collect()
}

/// The texts between quotes in the bodies of functions of that name.
pub(super) fn literals_within(text: &str, function: &str) -> Vec<String> {
    let bodies = text.match_indices(function).filter_map(|(at, _)| {
        let (body, _) = text[at..].split_once("\n    }\n")?;
        Some(body)
    });
    bodies
        .flat_map(|body| body.split('"').skip(1).step_by(2))
        .map(ToOwned::to_owned)
        .collect()
}
