//! The book in `docs/`: its pages are all listed, its links lead somewhere, and what it says of the command `smcp` is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::documents::blocks;
use crate::world::text;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the book, by their paths in `docs`.
fn pages() -> BTreeMap<PathBuf, String> {
    let docs = root().join("docs");
    let (mut found, mut left) = (BTreeMap::new(), vec![docs.clone()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(&docs).unwrap().to_owned(), text);
            }
        }
    }
    found
}

/// The targets of the links of a text, but for those in blocks of code.
fn links(markdown: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut is_code = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let rests = line.split("](").skip(1);
            targets.extend(rests.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
        }
    }
    targets
}

/// The anchors of the headings of a text, as GitHub and mdBook make them.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let headings = markdown.lines().filter(|line| {
        is_code ^= line.trim_start().starts_with("```");
        !is_code && line.starts_with('#')
    });
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn the_summary_names_every_page_once() {
    let pages = pages();
    let mut named = links(&pages[Path::new("SUMMARY.md")]);
    named.sort();
    let mut there: Vec<_> = pages
        .keys()
        .map(|path| path.display().to_string())
        .filter(|path| path != "SUMMARY.md")
        .collect();
    there.sort();
    assert_eq!(named, there);
    let book: toml::Table = fs::read_to_string(root().join("book.toml"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(book["book"]["src"].as_str(), Some("docs"));
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for (page, markdown) in pages() {
        for link in links(&markdown) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let place = root().join("docs").join(&page);
            let target = match path {
                "" => place.clone(),
                path => place.parent().unwrap().join(path),
            };
            // What is not in the book is not there for whoever reads the book.
            let docs = root().join("docs").canonicalize().unwrap();
            let is_there = target
                .canonicalize()
                .is_ok_and(|path| path.starts_with(&docs));
            let has_anchor = anchor.is_empty()
                || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor));
            if !is_there || !has_anchor {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What follows `smcp` in blocks of commands and between backticks.
fn said_of_smcp() -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    for markdown in pages().values() {
        let mut lines: Vec<String> = Vec::new();
        for block in blocks(markdown) {
            if matches!(
                block.info.split(' ').next(),
                Some("console" | "sh" | "bash")
            ) {
                let commands = block
                    .text
                    .lines()
                    .filter(|line| block.info.starts_with("sh") || line.starts_with("$ "));
                lines.extend(commands.map(ToOwned::to_owned));
            }
        }
        for line in markdown.lines() {
            lines.extend(line.split('`').skip(1).step_by(2).map(ToOwned::to_owned));
        }
        for line in lines {
            let line = line.split(" #").next().unwrap_or_default();
            for command in line.split(['|', ';', '&', '(']) {
                let words = command.trim().trim_start_matches("$ ").split(' ');
                let mut words = words.skip_while(|word| word.contains('=') || *word == "sudo");
                if words.next() == Some("smcp") {
                    said.insert(words.collect::<Vec<_>>().join(" "));
                }
            }
        }
    }
    said
}

#[test]
fn every_command_and_option_of_smcp_that_is_named_is_there() {
    let mut helps = BTreeMap::new();
    let mut help = |path: &[&str]| -> Option<String> {
        let path: Vec<_> = path.iter().map(ToString::to_string).collect();
        let asked = helps.entry(path.clone()).or_insert_with(|| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_smcp"));
            let output = command.args(&path).arg("--help").output().unwrap();
            output.status.success().then(|| text(&output.stdout))
        });
        asked.clone()
    };
    let said = said_of_smcp();
    assert!(said.len() > 60, "{said:?}");
    let mut wrong = Vec::new();
    for line in said {
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let mut path: Vec<&str> = Vec::new();
        let mut page = help(&[]).unwrap();
        for word in words.iter().copied() {
            let lists = |page: &str| {
                let commands = page
                    .split_once("Commands:")
                    .map(|(_, rest)| rest.to_owned());
                commands.is_some_and(|rest| {
                    rest.lines()
                        .any(|line| line.trim_start().split(' ').next() == Some(word))
                })
            };
            if !page.contains("Commands:") {
                break;
            }
            if !word.starts_with(|c: char| c.is_ascii_lowercase()) {
                break;
            }
            if !lists(&page) {
                wrong.push(format!("smcp {line}: there is no {word}"));
                break;
            }
            path.push(word);
            page = help(&path).unwrap_or_default();
        }
        for option in words
            .iter()
            .filter(|word| word.starts_with("--") && word.len() > 2)
        {
            let name: String = option
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                .collect();
            let is_there = page
                .split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
                .any(|word| word == name);
            if !is_there {
                wrong.push(format!("smcp {line}: there is no {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
