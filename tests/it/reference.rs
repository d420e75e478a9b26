//! The pages of reference, which are made of the code: a page that says something else fails, and
//! `SMCP_UPDATE_DOCS=1 cargo test --test it reference` writes them.

mod endpoints;
mod errors;
mod settings;
mod source;
mod states;
mod tools;

use std::fs;
use std::path::Path;

/// Compares a page with what it must be, or writes it.
fn keep(page: &str, text: &str) {
    let path = root().join("docs/reference").join(page);
    if std::env::var_os("SMCP_UPDATE_DOCS").is_some() {
        return fs::write(path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept
        .lines()
        .zip(text.lines())
        .find(|(kept, made)| kept != made);
    assert!(
        kept == text,
        "docs/reference/{page} is not what the code says: {differs:?}; SMCP_UPDATE_DOCS=1 cargo test --test it reference"
    );
}

/// A row of a table in Markdown.
fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells
        .iter()
        .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The beginning of a table.
fn head(names: &[&str]) -> String {
    row(names) + &format!("|{}\n", "---|".repeat(names.len()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
