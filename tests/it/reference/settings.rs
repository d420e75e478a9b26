//! `docs/reference/settings.md`, from the comments of the example file.

use std::collections::BTreeSet;
use std::fs;

use smcp_common::config::{Config, Environment, Flags, VARIABLES};
use smcp_common::setting::Setting;

use super::{head, keep, root, row, source};

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
    let mut page = "# Settings\n\n\
<!-- Made of the code by tests/it/reference.rs; change it there, or in deploy/smcp.example.toml. -->\n\n\
Command line wins over environment, environment over file. The file is `SMCP_CONFIG`, else `smcp.toml` in the working directory, else in the data directory;\n\
a key that does not exist is an error. [The example](https://github.com/sanctumos/smcp/blob/main/deploy/smcp.example.toml) states every default. Variables that are empty count as unset; switches\n\
are `1`, `true`, `yes`, `on`, or `0`, `false`, `no`, `off`.\n\n## In the file\n\n"
        .to_owned();
    page = page.replace(
        "[The example](https://github.com/sanctumos/smcp/blob/main/deploy/smcp.example.toml)",
        "The example, `deploy/smcp.example.toml`,",
    );
    page += &head(&["key", "variable", "default", "meaning"]);
    for entry in entries() {
        let (variables, meaning) = told(&entry.comment);
        let default = if entry.has_default {
            format!("`{}`", entry.value)
        } else {
            String::new()
        };
        let meaning = match (entry.has_default, meaning.is_empty()) {
            (true, _) => meaning,
            (false, true) => format!("E.g. `{}`", entry.value),
            (false, false) => format!("{}. E.g. `{}`", meaning.trim_end_matches('.'), entry.value),
        };
        page += &row(&[&format!("`{}`", entry.key), &variables, &default, &meaning]);
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
    keep("settings.md", &page);
}

#[test]
fn every_key_and_variable_that_is_read_is_in_the_page() {
    let keys: BTreeSet<_> = entries().into_iter().map(|entry| entry.key).collect();
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
    let page = fs::read_to_string(root().join("docs/reference/settings.md")).unwrap();
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
    for name in variables {
        assert!(
            page.contains(&format!("`{name}`")),
            "settings.md does not have {name}"
        );
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

/// The settings of the example file, first to last.
fn entries() -> Vec<Entry> {
    let text = fs::read_to_string(root().join("deploy/smcp.example.toml")).unwrap();
    let (mut entries, mut section, mut before) =
        (Vec::<Entry>::new(), String::new(), String::new());
    for line in text.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if line.trim().is_empty() {
            before.clear();
        } else if let Some((name, rest)) =
            bare.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        {
            section = format!("{name}.");
            before = rest.trim().trim_start_matches("# ").to_owned();
            if name != "aliases" {
                before.clear();
            }
        } else if let Some(more) = line
            .trim_start()
            .strip_prefix("# ")
            .filter(|_| line.starts_with(' '))
        {
            if let Some(entry) = entries.last_mut() {
                entry.comment += &format!(" {more}");
            }
        } else if let Some((key, rest)) = bare.split_once(" = ").filter(|(key, _)| is_key(key)) {
            let (value, comment) = rest.split_once(" # ").unwrap_or((rest, ""));
            let comment = format!("{} {}", std::mem::take(&mut before), comment.trim());
            entries.push(Entry {
                key: format!("{section}{key}"),
                value: value.trim().to_owned(),
                has_default: bare == line,
                comment: comment.trim().to_owned(),
            });
        } else {
            before = format!("{before} {bare}").trim().to_owned();
        }
    }
    entries
}

fn is_key(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.'))
}

/// The variables that a comment names, and what else it says.
fn told(comment: &str) -> (String, String) {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit();
    let mut words: Vec<_> = comment
        .split(|c: char| !is_part(c))
        .filter(|word| word.starts_with("MCP_") || word.starts_with("SMCP_"))
        .map(|word| format!("`{word}`"))
        .collect();
    words.dedup();
    let meaning = match comment.split_once(". ") {
        Some((first, rest)) if first.starts_with("MCP_") || first.starts_with("SMCP_") => {
            // A sentence of variables alone says no more than their column.
            match first.split_once(", or ") {
                Some((_, other)) => format!("{rest} (or {other})"),
                None => rest.to_owned(),
            }
        }
        _ => comment.to_owned(),
    };
    let meaning = meaning.trim();
    let mut letters = meaning.chars();
    let meaning = letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str());
    (words.join(", "), meaning.unwrap_or_default())
}
