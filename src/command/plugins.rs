//! `smcp plugins`: what the workers found, what a plugin's author should mend, and what an operator accepts.

mod accept;
mod check;
mod new;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;
use smcp_common::config::Environment;

use super::with_client;
use crate::cli::{Plugins, PluginsList};
use crate::table::Table;
use crate::terminal::{Style, one_line, print, print_json};

/// The answer of `plugins__list` and `plugins__reload`.
#[derive(Debug, Deserialize)]
pub(crate) struct Listing {
    /// The plugins, refused ones included.
    pub(crate) plugins: Vec<Listed>,
    catalogue: Catalogue,
}

/// One plugin of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) name: String,
    directory: String,
    interpreter: Option<String>,
    /// The names of its tools.
    pub(crate) tools: Vec<String>,
    problems: Vec<String>,
    /// Those of the problems that are no mistakes: what it asks for and is not granted.
    #[serde(default)]
    withheld: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Catalogue {
    problems: Vec<String>,
}

impl Listing {
    /// What is wrong with the directories and the plugins, a line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.told(|_, _| true)
    }

    /// The same without what plugins ask for in vain.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        self.told(|plugin, problem| !plugin.withheld.contains(problem))
    }

    /// How many plugins ask for what they are not granted.
    pub(crate) fn asking_in_vain(&self) -> usize {
        let asking = |plugin: &&Listed| !plugin.withheld.is_empty();
        self.plugins.iter().filter(asking).count()
    }

    fn told(&self, is_told: impl Fn(&Listed, &String) -> bool) -> Vec<String> {
        let of_plugins = self.plugins.iter().flat_map(|plugin| {
            let problems = plugin.problems.iter();
            problems
                .filter(|problem| is_told(plugin, problem))
                .map(|problem| format!("plugin {}: {}", plugin.name, one_line(problem)))
        });
        self.catalogue
            .problems
            .iter()
            .map(|problem| one_line(problem))
            .chain(of_plugins)
            .collect()
    }
}

/// Carries out a command on plugins.
pub(crate) fn run(what: Plugins) -> anyhow::Result<ExitCode> {
    match what {
        Plugins::List(options) => list(&options, "plugins__list"),
        Plugins::Reload(options) => list(&options, "plugins__reload"),
        Plugins::New(options) => new::run(&options),
        Plugins::Check(options) => check::run(&options),
        Plugins::Diff(options) => with_client(&options.connection, async |client| {
            accept::diff(client, &options).await
        }),
        Plugins::Accept(options) => with_client(&options.connection, async |client| {
            accept::accept(client, &options).await
        }),
    }
}

fn list(options: &PluginsList, tool: &str) -> anyhow::Result<ExitCode> {
    with_client(&options.connection, async |client| {
        let answer = client.ask(tool, json!({})).await?;
        if options.connection.json {
            print_json(&answer)?;
        } else {
            let style = Style::of_stdout(&Environment::of_process());
            let mut text = String::new();
            if let Some(changed) = answer["changed"].as_bool() {
                text.push_str(if changed {
                    "something has changed\n\n"
                } else {
                    "nothing has changed\n\n"
                });
            }
            text.push_str(&table(&Listing::deserialize(&answer)?, style));
            print(&text)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn table(listing: &Listing, style: Style) -> String {
    let mut text = String::new();
    if listing.plugins.is_empty() {
        text.push_str("no plugins\n");
    } else {
        let mut table = Table::new(["PLUGIN", "TOOLS", "PROBLEMS", "RUN BY", "DIRECTORY"]);
        for plugin in &listing.plugins {
            table.row([
                plugin.name.clone(),
                plugin.tools.len().to_string(),
                plugin.problems.len().to_string(),
                plugin
                    .interpreter
                    .clone()
                    .unwrap_or_else(|| "itself".to_owned()),
                plugin.directory.clone(),
            ]);
        }
        text = table.render(|row, column, cell| match (row, column) {
            (0, _) => style.bold(cell),
            (_, 2) if cell != "0" => style.yellow(cell),
            _ => cell.to_owned(),
        });
    }
    for problem in listing.problems() {
        // Writing to a String cannot fail.
        writeln!(text, "{} {problem}", style.yellow("warning:")).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn listing(value: Value) -> Listing {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn plugins_are_listed_with_what_is_wrong() {
        let listing = listing(json!({
            "plugins": [
                {"name": "math", "directory": "/p/math", "entry": "cli.py", "interpreter": "/usr/bin/python3",
                 "digest": "d", "description": null, "tools": ["math__add", "math__sub"], "problems": []},
                {"name": "odd", "directory": "/p/odd", "entry": "cli", "interpreter": null,
                 "digest": "d", "description": null, "tools": [], "problems": ["commands is\nrequired"]},
            ],
            "catalogue": {"version": 1, "scanned": 1, "wanted": 1, "scanned_at": 0, "problems": ["/q cannot be read"]},
        }));
        let expected = "\
PLUGIN  TOOLS  PROBLEMS  RUN BY            DIRECTORY
math    2      0         /usr/bin/python3  /p/math
odd     0      1         itself            /p/odd
warning: /q cannot be read
warning: plugin odd: commands is required
";
        assert_eq!(table(&listing, Style::default()), expected);
    }
}
