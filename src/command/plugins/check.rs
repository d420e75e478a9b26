//! `smcp plugins check`: what SMCP makes of a plugin, tried out without a server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use smcp_common::config::Flags;
use smcp_common::plugin::Plugin;
use smcp_common::sandbox::{Confinement, Network, Profile};
use smcp_worker::plugin::check::{Checked, Starts, check};

use crate::arguments::signature;
use crate::cli::PluginsCheck;
use crate::command::block_on;
use crate::settings::{self, Settings};
use crate::terminal::{Style, counted, one_line, print, print_json};

/// The running program, which stands between us and every plugin.
const SUPERVISOR: &str = "/proc/self/exe";

/// Tries a plugin out.
pub(super) fn run(options: &PluginsCheck) -> anyhow::Result<ExitCode> {
    let Settings {
        config,
        environment,
    } = settings::load(&Flags::default())?;
    if !options.directory.is_dir() {
        bail!("{} is no directory", options.directory.display());
    }
    let checked = block_on(async {
        let supervisor = Path::new(SUPERVISOR);
        check(&options.directory, &config, &environment, supervisor)
            .await
            .context("cannot prepare a sandbox for the plugin")
    })?;
    if options.json {
        print_json(&checked)?;
    } else {
        print(&render(&checked, Style::of_stdout(&environment)))?;
    }
    Ok(if checked.plugin.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn render(checked: &Checked, style: Style) -> String {
    let Checked {
        plugin,
        profile,
        confinement,
        starts,
    } = checked;
    let run_by = plugin.interpreter.as_deref().unwrap_or("itself");
    let mut text = format!("{} in {}\n", style.bold(&plugin.name), plugin.directory);
    // Writing to a String cannot fail.
    let mut line = |line: &str| writeln!(text, "{}", line.trim_end()).unwrap_or_default();
    if !plugin.entry.is_empty() {
        line(&format!("{}, run by {run_by}", plugin.entry));
    }
    for tool in &plugin.tools {
        let schema = tool.input_schema();
        let signature = schema.as_object().map(signature).unwrap_or_default();
        line(&format!(
            "  {} {signature}",
            style.bold(&tool.name.to_string())
        ));
    }
    if let Some(confinement) = confinement {
        line(&row("confined", &confined(confinement), style));
    }
    for (name, value) in profile.iter().flat_map(|profile| allowed(plugin, profile)) {
        line(&row(name, &value, style));
    }
    match starts {
        Some(Starts::Warm { imported }) => {
            let imported = match imported.join(", ") {
                nothing if nothing.is_empty() => "nothing to import".to_owned(),
                modules => format!("{modules} imported once"),
            };
            line(&row("starts", &format!("warm: {imported}"), style));
        }
        Some(Starts::Cold { because }) => {
            line(&row(
                "starts",
                &format!("anew for each call: {because}"),
                style,
            ));
        }
        None => {}
    }
    let problems = plugin.problems.iter().map(|it| (style.red("problem:"), it));
    let warnings = plugin.withheld.iter();
    let warnings = warnings.map(|it| (style.yellow("warning:"), it));
    for (mark, sentence) in problems.chain(warnings) {
        line(&format!("{mark} {}", one_line(&sentence.to_string())));
    }
    let found = [
        counted(plugin.tools.len(), "tool"),
        match plugin.problems.len() {
            0 => "no problems".to_owned(),
            problems => counted(problems, "problem"),
        },
    ];
    let found = match plugin.withheld.len() {
        0 => found.join(", "),
        warnings => format!("{}, {}", found.join(", "), counted(warnings, "warning")),
    };
    line(&if plugin.problems.is_empty() {
        style.green(&found)
    } else {
        style.red(&found)
    });
    text
}

fn row(name: &str, value: &str, style: Style) -> String {
    format!("{}{}", style.dim(&format!("{name:<10}")), one_line(value))
}

fn confined(confinement: &Confinement) -> String {
    let Confinement {
        tier, by, partial, ..
    } = confinement;
    let mut text = format!("{tier} ({}): {}", tier.number(), by.join("; "));
    if !partial.is_empty() {
        let partial: Vec<_> = partial.iter().map(|key| key.as_str()).collect();
        text += &format!("   partial: {}", partial.join(", "));
    }
    text
}

/// What a call may do and use besides what every plugin may, of what the plugin has asked for.
fn allowed(plugin: &Plugin, profile: &Profile) -> Vec<(&'static str, String)> {
    let paths = |paths: &[PathBuf]| {
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        paths.join(", ")
    };
    let network = match &profile.network {
        Network::None => "nobody".to_owned(),
        Network::Full => "everybody".to_owned(),
        Network::LoopbackPorts(ports) => {
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            format!("the ports {} of loopback", ports.join(", "))
        }
        Network::Proxy(to) => {
            let to: Vec<_> = to.iter().map(ToString::to_string).collect();
            to.join(", ")
        }
    };
    let limits = &profile.limits;
    let memory = limits.memory_bytes().map(|_| limits.memory_mb);
    let memory = memory.map_or("any memory".to_owned(), |mb| format!("{mb} MiB of memory"));
    let uses = format!(
        "{memory}, {} processes, {} MiB in its directory",
        limits.processes, profile.scratch_mb
    );
    let secrets: Vec<_> = plugin
        .secrets
        .iter()
        .map(|wish| wish.name.clone())
        .collect();
    let rows = [
        ("reads", paths(&profile.read)),
        ("writes", paths(&profile.write)),
        ("reaches", network),
        ("sees", profile.env.join(", ")),
        ("secrets", secrets.join(", ")),
        ("uses", uses),
    ];
    rows.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use smcp_common::plugin::Manifest;
    use smcp_common::sandbox::{Start, Tier};

    use super::*;

    fn checked(document: &Value, starts: Starts) -> Checked {
        let manifest = Manifest::parse(document).unwrap();
        let mut plugin = Plugin {
            entry: "cli.py".to_owned(),
            interpreter: Some("/usr/bin/python3".to_owned()),
            secrets: manifest.secrets.clone(),
            ..Plugin::found("math", "/p/math")
        };
        (plugin.tools, plugin.problems) = manifest.into_tools("math");
        Checked {
            plugin,
            profile: Some(Profile::default()),
            confinement: Some(Confinement {
                tier: Tier::Isolated,
                by: vec!["namespaces".to_owned(), "seccomp".to_owned()],
                partial: Vec::new(),
                start: Start::Cold,
                cold_because: None,
            }),
            starts: Some(starts),
        }
    }

    #[test]
    fn a_plugin_is_shown_with_its_tools_and_what_it_may_do() {
        let document = json!({
            "plugin": {"name": "math", "secrets": ["KEY"]},
            "commands": [{"name": "add", "parameters": [{"name": "a", "type": "integer", "required": true}]}],
        });
        let imported = vec!["json".to_owned(), "os".to_owned()];
        let mut checked = checked(&document, Starts::Warm { imported });
        let expected = "\
math in /p/math
cli.py, run by /usr/bin/python3
  math__add a=INTEGER
confined  isolated (T2): namespaces; seccomp
reaches   nobody
secrets   KEY
uses      512 MiB of memory, 32 processes, 64 MiB in its directory
starts    warm: json, os imported once
1 tool, no problems
";
        assert_eq!(render(&checked, Style::default()), expected);
        checked
            .plugin
            .withheld
            .push("it asks for more".to_owned().into());
        let shown = render(&checked, Style::default());
        assert!(
            shown.ends_with("warning: it asks for more\n1 tool, no problems, 1 warning\n"),
            "{shown}"
        );
    }

    #[test]
    fn why_calls_start_anew_is_told() {
        let because = "its imports start threads".to_owned();
        let document = json!({"commands": []});
        let shown = render(
            &checked(&document, Starts::Cold { because }),
            Style::default(),
        );
        let told = "starts    anew for each call: its imports start threads\n";
        assert!(shown.contains(told), "{shown}");
    }
}
