//! `docs/reference/settings.md`, from the comments of the example file.

use std::collections::BTreeSet;
use std::fs;

use smcp_common::config::{Config, Environment, Flags, VARIABLES};
use smcp_common::setting::Setting;

use super::{head, keep, root, row, source};

/// A table of the file.
#[derive(Debug, Default)]
struct Section {
    name: String,
    about: String,
    entries: Vec<Entry>,
}

/// A key of the file.
#[derive(Debug, Default)]
struct Entry {
    key: String,
    /// As the file states it; an example where the line is commented out.
    value: String,
    has_default: bool,
    comment: String,
}

#[test]
fn the_page_has_every_setting() {
    keep("settings.md", &page());
}

fn page() -> String {
    let mut page = "# Settings\n\n\
<!-- Made of the code by tests/it/reference.rs; change it there, or in deploy/smcp.example.toml. -->\n\n\
Command line wins over environment, environment over file. The file is `SMCP_CONFIG`, else `smcp.toml` in the working directory, else in the data directory;\n\
a key that does not exist is an error. `deploy/smcp.example.toml` states every default. Variables that are empty count as unset; switches\n\
are `1`, `true`, `yes`, `on`, or `0`, `false`, `no`, `off`.\n\n## In the file\n\n"
        .to_owned();
    for section in sections() {
        page += &match section.name.as_str() {
            "" => String::new(),
            name => format!("\n### `[{name}]`\n\n"),
        };
        if !section.about.is_empty() {
            page += &format!("{}.\n\n", section.about.trim_end_matches('.'));
        }
        page += &head(&["key", "variable", "default", "meaning"]);
        for entry in &section.entries {
            let (variables, meaning) = told(&entry.comment);
            let default = if entry.has_default {
                format!("`{}`", entry.value)
            } else {
                String::new()
            };
            let example = format!("E.g. `{}`", entry.value);
            let meaning = match (entry.has_default, meaning.trim_end_matches('.')) {
                (true, meaning) => meaning.to_owned(),
                (false, "") => example,
                (false, meaning) => format!("{meaning}. {example}"),
            };
            page += &row(&[&format!("`{}`", entry.key), &variables, &default, &meaning]);
        }
    }
    page += "\n## In the environment alone\n\n";
    page += &head(&["variable", "meaning"]);
    for (name, meaning) in VARIABLES {
        page += &row(&[&format!("`{name}`"), meaning]);
    }
    page += "\n## While SMCP runs\n\nOperators change these with `smcp settings set NAME VALUE`; they count at once, and after a restart.\n\n";
    page += &head(&["setting", "default", "from", "to", "unit", "meaning"]);
    for setting in Setting::ALL {
        page += &row(&[
            &format!("`{}`", setting.name()),
            &setting.default().to_string(),
            &setting.least().to_string(),
            &setting.most().to_string(),
            setting.unit().as_str(),
            setting.description(),
        ]);
    }
    page
}

#[test]
fn every_key_and_variable_that_is_read_is_in_the_page() {
    let entries = sections().into_iter().flat_map(|section| section.entries);
    let keys: BTreeSet<_> = entries.map(|entry| entry.key).collect();
    let mut read = Vec::new();
    leaves("", &mut read);
    assert!(read.len() > 40, "{read:?}");
    for key in &read {
        let within = format!("{key}.");
        assert!(
            keys.iter()
                .any(|known| known == key || known.starts_with(&within)),
            "deploy/smcp.example.toml does not have {key}"
        );
    }
    let page = page();
    let files = source::files("src").into_iter();
    let files = files.chain(source::files("smcp-common/src/config"));
    let files = files.chain([root().join("smcp-common/src/config.rs")]);
    let mut variables = BTreeSet::new();
    for text in files.map(source::read) {
        for before in [".text(", ".switch(", ".number(", ".list(", "env = "] {
            variables.extend(source::literals_after(&text, before));
        }
    }
    variables.retain(|name| name.contains("MCP_"));
    assert!(variables.len() > 25, "{variables:?}");
    let words: BTreeSet<_> = page
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .collect();
    for name in variables {
        assert!(words.contains(&*name), "settings.md does not have {name}");
    }
}

/// The keys below a table, as the file's own complaint about an unknown one names them.
fn leaves(table: &str, found: &mut Vec<String>) {
    let text = match table {
        "" => "zzz = 1".to_owned(),
        table => format!("[{table}]\nzzz = 1"),
    };
    let env: Environment = [("HOME", "/home/ada")].into_iter().collect();
    let complaint = Config::load(Some(("f", &text)), &env, &Flags::default());
    let complaint = complaint.err().map(|error| error.to_string());
    let complaint = complaint.unwrap_or_default();
    let Some((_, names)) = complaint.split_once("unknown field `zzz`, expected ") else {
        return found.push(table.to_owned());
    };
    for name in names.split('`').skip(1).step_by(2) {
        match table {
            "" => leaves(name, found),
            table => leaves(&format!("{table}.{name}"), found),
        }
    }
}

/// The sections of the example file, first to last: their names, what is said of each, and their settings.
fn sections() -> Vec<Section> {
    let text = fs::read_to_string(root().join("deploy/smcp.example.toml")).unwrap();
    let (mut sections, mut before) = (vec![Section::default()], String::new());
    for line in text.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let more = line.trim_start().strip_prefix("# ");
        let last = sections.last_mut().unwrap();
        if line.trim().is_empty() {
            before.clear();
        } else if let Some((name, rest)) =
            bare.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        {
            let beside = rest.trim().trim_start_matches("# ");
            sections.push(Section {
                name: name.to_owned(),
                about: sentence(&format!("{before} {beside}")),
                entries: Vec::new(),
            });
            before.clear();
        } else if let Some(more) = more.filter(|_| line.starts_with(' ')) {
            let entry = last.entries.last_mut();
            match entry {
                Some(entry) => entry.comment += &format!(" {more}"),
                None => last.about += &format!(" {more}"),
            }
        } else if let Some((key, rest)) = bare.split_once(" = ").filter(|(key, _)| is_key(key)) {
            let (value, comment) = rest.split_once(" # ").unwrap_or((rest, ""));
            let comment = format!("{} {}", std::mem::take(&mut before), comment.trim());
            last.entries.push(Entry {
                key: format!("{}.{key}", last.name)
                    .trim_start_matches('.')
                    .to_owned(),
                value: value.trim().to_owned(),
                has_default: bare == line,
                comment: comment.trim().to_owned(),
            });
        } else {
            before += if before.is_empty() { "" } else { " " };
            before += bare;
        }
    }
    sections.retain(|section| !section.entries.is_empty());
    sections
}

fn is_key(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.'))
}

/// The variables that stand for a setting, and what else its comment says.
fn told(comment: &str) -> (String, String) {
    let (named, meaning) = match comment.split_once(". ") {
        Some((first, rest)) if is_variable(first.split([',', ' ']).next().unwrap_or_default()) => {
            // Beside the variables it may say how they are read.
            match first.split_once(", ") {
                Some((_, how)) => (first, format!("{rest} ({how})")),
                None => (first, rest.to_owned()),
            }
        }
        _ => match comment.split_once(" Variable: ") {
            Some((meaning, variable)) => (variable, meaning.to_owned()),
            None => (comment, comment.to_owned()),
        },
    };
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let variables: BTreeSet<_> = named
        .split(|c: char| !is_part(c))
        .filter(|word| is_variable(word))
        .map(|word| format!("`{word}`"))
        .collect();
    let variables: Vec<_> = variables.into_iter().collect();
    (variables.join(", "), sentence(&meaning))
}

fn is_variable(word: &str) -> bool {
    word.starts_with("MCP_") || word.starts_with("SMCP_")
}

/// With a capital letter in front, unless it begins with a value.
fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
