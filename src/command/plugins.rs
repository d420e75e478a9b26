//! `smcp plugins`: what the workers found, what a plugin's author should mend, and what an operator accepts.

mod accept;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;
use smcp_common::config::{Environment, Flags};
use smcp_common::plugin::Plugin;
use smcp_worker::plugin::catalogue;

use super::{block_on, with_client};
use crate::arguments::signature;
use crate::cli::{Plugins, PluginsCheck, PluginsList};
use crate::settings::{self, Settings};
use crate::table::Table;
use crate::terminal::{Style, counted, one_line, print, print_json};

/// The running program, which stands between us and every plugin.
const SUPERVISOR: &str = "/proc/self/exe";

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
}

#[derive(Debug, Deserialize)]
struct Catalogue {
    problems: Vec<String>,
}

impl Listing {
    /// What is wrong with the directories and the plugins, a line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let of_plugins = self.plugins.iter().flat_map(|plugin| {
            plugin
                .problems
                .iter()
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
        Plugins::Check(options) => check(&options),
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

fn check(options: &PluginsCheck) -> anyhow::Result<ExitCode> {
    let settings = settings::load(&Flags::default())?;
    if !options.directory.is_dir() {
        bail!("{} is no directory", options.directory.display());
    }
    let style = Style::of_stdout(&settings.environment);
    let plugin = block_on(async {
        let Settings {
            config,
            environment,
        } = &settings;
        catalogue::check(
            &options.directory,
            config,
            environment,
            Path::new(SUPERVISOR),
        )
        .await
        .context("cannot prepare a sandbox for the plugin")
    })?;
    if options.json {
        print_json(&plugin)?;
    } else {
        print(&render(&plugin, style))?;
    }
    Ok(if plugin.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A plugin with its tools and its problems.
fn render(plugin: &Plugin, style: Style) -> String {
    let run_by = plugin.interpreter.as_deref().unwrap_or("itself");
    let mut text = format!("{} in {}\n", style.bold(&plugin.name), plugin.directory);
    // Writing to a String cannot fail.
    if !plugin.entry.is_empty() {
        writeln!(text, "{}, run by {run_by}", plugin.entry).unwrap_or_default();
    }
    for tool in &plugin.tools {
        let schema = tool.input_schema();
        let signature = schema.as_object().map(signature).unwrap_or_default();
        writeln!(
            text,
            "{}",
            format!("  {} {signature}", style.bold(&tool.name.to_string())).trim_end()
        )
        .unwrap_or_default();
    }
    for problem in plugin.problems.iter().chain(&plugin.withheld) {
        writeln!(
            text,
            "{} {}",
            style.yellow("problem:"),
            one_line(&problem.to_string())
        )
        .unwrap_or_default();
    }
    let tools = counted(plugin.tools.len(), "tool");
    let verdict = match plugin.problems.len() {
        0 => style.green(&format!("{tools}, no problems")),
        problems => style.red(&format!("{tools}, {}", counted(problems, "problem"))),
    };
    text + &verdict + "\n"
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

    #[test]
    fn a_checked_plugin_is_shown_with_its_tools_and_problems() {
        let document = json!({"commands": [{"name": "add", "parameters": [{"name": "a", "type": "integer", "required": true}]}]});
        let (tools, problems) = smcp_common::plugin::Manifest::parse(&document)
            .unwrap()
            .into_tools("math");
        let mut plugin: Plugin = serde_json::from_value(json!({
            "name": "math", "directory": "/p/math", "entry": "cli.py", "digest": "", "interpreter": "/usr/bin/python3",
            "description": null, "tools": [], "problems": problems,
        }))
        .unwrap();
        plugin.tools = tools;
        let expected = "math in /p/math\ncli.py, run by /usr/bin/python3\n  math__add a=INTEGER\n1 tool, no problems\n";
        assert_eq!(render(&plugin, Style::default()), expected);
    }
}
