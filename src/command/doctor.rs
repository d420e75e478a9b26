//! `smcp doctor`: how well this machine can keep plugins to their sandboxes, and what runs them; without a server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use smcp_common::config::{Config, Environment, Flags};
use smcp_common::sandbox::{Finding, Key, Report, SelfTest, State};
use smcp_worker::doctor::examine;
use smcp_worker::plugin::interpreter::Interpreters;
use smcp_worker::plugin_directories;

use super::block_on;
use crate::cli::Doctor;
use crate::settings;
use crate::terminal::{Style, one_line, print, print_json};

/// The running program, which stands between us and the interpreter.
const SUPERVISOR: &str = "/proc/self/exe";
/// No directory, and nothing can be below it: no plugin's own environment is meant.
const NO_PLUGIN: &str = "/dev/null";

/// All that is told.
#[derive(Debug, Serialize)]
struct Diagnosis {
    sandbox: Report,
    python: Python,
    plugin_directories: Vec<PathBuf>,
    data_directory: PathBuf,
    /// Whether interpreters are kept waiting.
    warm: bool,
}

/// The interpreter of plugins that bring none of their own.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Python {
    Found { path: PathBuf, origin: String },
    Missing { problem: String },
}

/// Examines this machine, and tells of it.
pub(crate) fn run(options: &Doctor) -> anyhow::Result<ExitCode> {
    let settings::Settings {
        config,
        environment,
    } = settings::load(&Flags::from(options))?;
    let diagnosis = block_on(diagnose(config, &environment))?;
    if options.json {
        print_json(&diagnosis)?;
    } else {
        print(&diagnosis.render(Style::of_stdout(&environment)))?;
    }
    Ok(if diagnosis.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn diagnose(config: Config, environment: &Environment) -> anyhow::Result<Diagnosis> {
    let sandbox = examine(&config, Path::new(SUPERVISOR)).await;
    let sandbox = sandbox.context("cannot find out how plugins can be confined")?;
    let interpreters = Interpreters::new(SUPERVISOR.into());
    let found = interpreters.resolve(Path::new(NO_PLUGIN), environment.variables());
    let python = match found.await {
        Ok(found) => Python::Found {
            path: found.path,
            origin: found.origin.to_string(),
        },
        Err(error) => Python::Missing {
            problem: error.to_string(),
        },
    };
    Ok(Diagnosis {
        sandbox,
        python,
        plugin_directories: plugin_directories(&config),
        warm: config.plugins.warm,
        data_directory: config.data_dir,
    })
}

impl Diagnosis {
    /// Whether plugins run as is demanded, as far as was looked.
    fn is_well(&self) -> bool {
        let sound = |test: &SelfTest| test.failures.is_empty();
        self.sandbox.refusal.is_none() && self.sandbox.self_test.as_ref().is_none_or(sound)
    }

    fn render(&self, style: Style) -> String {
        let report = &self.sandbox;
        let verdict = if report.refusal.is_some() {
            style.red("REFUSES TO RUN PLUGINS")
        } else if self.is_well() {
            style.green("OK")
        } else {
            style.red("PROBES GOT THROUGH")
        };
        let mut text = format!(
            "{} {} ({})   require={}   {verdict}\n",
            style.bold("sandbox:"),
            report.tier,
            report.tier.number(),
            report.require.as_str()
        );
        if let Some(refusal) = &report.refusal {
            text.push_str(&format!("  {}\n", one_line(refusal)));
        }
        for (key, finding) in &report.keys {
            text.push_str(&row(*key, finding, style));
        }
        if let Some(test) = &report.self_test {
            text.push_str(&tested(test, style));
        }
        text.push_str(&remedies(report, style));
        text.push('\n');
        text.push_str(&self.surroundings(style));
        text
    }

    fn surroundings(&self, style: Style) -> String {
        let python = match &self.python {
            Python::Found { path, origin } => format!("{} (from {origin})", path.display()),
            Python::Missing { problem } => style.red(&one_line(problem)),
        };
        let directories: Vec<_> = self
            .plugin_directories
            .iter()
            .map(|directory| directory.display().to_string())
            .collect();
        let warm = if self.warm { "on" } else { "off" };
        let mut text = String::new();
        for (name, value) in [
            ("python", python),
            ("plugins", directories.join(", ")),
            ("data", self.data_directory.display().to_string()),
            ("warm start", warm.to_owned()),
        ] {
            text.push_str(&format!("{} {value}\n", style.bold(&format!("{name:<10}"))));
        }
        text
    }
}

/// `  memory         PARTIAL   RLIMIT_AS for each process; no cgroup`
fn row(key: Key, finding: &Finding, style: Style) -> String {
    let state = match finding.state {
        State::Enforced => style.green("enforced"),
        State::Partial => format!("{} ", style.yellow("PARTIAL")),
        State::Absent => format!("{}  ", style.red("ABSENT")),
    };
    let by = finding.by.join(" + ");
    let said: Vec<_> = [Some(by.as_str()), finding.why.as_deref()]
        .into_iter()
        .flatten()
        .filter(|said| !said.is_empty())
        .collect();
    format!("  {key:<14} {state}  {}\n", one_line(&said.join("; ")))
}

fn tested(test: &SelfTest, style: Style) -> String {
    let SelfTest {
        probes,
        failures,
        duration_ms,
    } = test;
    let refused = probes.saturating_sub(failures.len());
    let seconds = std::time::Duration::from_millis(*duration_ms).as_secs_f64();
    let mut text = format!(
        "  {:<14} {refused}/{probes} hostile probes refused ({seconds:.1} s)\n",
        "self-test"
    );
    for failure in failures {
        text.push_str(&format!(
            "    {} {}\n",
            style.red("got through:"),
            one_line(failure)
        ));
    }
    text
}

/// What can be done, each advice once with all that it mends.
fn remedies(report: &Report, style: Style) -> String {
    let mut fixes: Vec<(&str, Vec<&str>)> = Vec::new();
    for (key, finding) in &report.keys {
        let Some(fix) = finding.fix.as_deref() else {
            continue;
        };
        match fixes.iter_mut().find(|(known, _)| *known == fix) {
            Some((_, keys)) => keys.push(key.as_str()),
            None => fixes.push((fix, vec![key.as_str()])),
        }
    }
    let mut text = String::new();
    if !fixes.is_empty() {
        text.push_str(&format!("{}\n", style.bold("to mend:")));
    }
    for (fix, keys) in fixes {
        text.push_str(&format!("  {} -> {}\n", keys.join(", "), one_line(fix)));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn diagnosis(refusal: &Value, failures: &Value) -> Diagnosis {
        let lacking = |why: &str| json!({"state": "partial", "by": ["RLIMIT"], "why": why, "fix": "use systemd"});
        let sandbox = json!({
            "tier": "isolated", "require": "restricted", "refusal": refusal,
            "keys": {
                "filesystem": {"state": "enforced", "by": ["mount namespace", "Landlock ABI 7"]},
                "network_ports": {"state": "absent", "by": [], "why": "no ports", "fix": "run Linux 6.7"},
                "memory": lacking("no cgroup"), "cpu": lacking("no cgroup"),
            },
            "self_test": {"probes": 12, "failures": failures, "duration_ms": 180},
        });
        Diagnosis {
            sandbox: serde_json::from_value(sandbox).unwrap(),
            python: Python::Found {
                path: "/usr/bin/python3.12".into(),
                origin: "PATH".into(),
            },
            plugin_directories: vec!["/p".into(), "/q".into()],
            data_directory: "/d".into(),
            warm: true,
        }
    }

    #[test]
    fn a_machine_is_described_key_by_key() {
        let well = diagnosis(&json!(null), &json!([]));
        assert!(well.is_well());
        let expected = "\
sandbox: isolated (T2)   require=restricted   OK
  filesystem     enforced  mount namespace + Landlock ABI 7
  network_ports  ABSENT    no ports
  memory         PARTIAL   RLIMIT; no cgroup
  cpu            PARTIAL   RLIMIT; no cgroup
  self-test      12/12 hostile probes refused (0.2 s)
to mend:
  network_ports -> run Linux 6.7
  memory, cpu -> use systemd

python     /usr/bin/python3.12 (from PATH)
plugins    /p, /q
data       /d
warm start on
";
        assert_eq!(well.render(Style::default()), expected);
    }

    #[test]
    fn a_refusal_and_a_probe_that_got_through_are_no_good_health() {
        let refuses = diagnosis(&json!("It is root."), &json!([]));
        assert!(!refuses.is_well());
        let text = refuses.render(Style::default());
        assert!(
            text.starts_with(
                "sandbox: isolated (T2)   require=restricted   REFUSES TO RUN PLUGINS\n  It is root.\n"
            ),
            "{text}"
        );
        let leaky = diagnosis(&json!(null), &json!(["It read a file."]));
        assert!(!leaky.is_well());
        let text = leaky.render(Style::default());
        assert!(
            text.contains("require=restricted   PROBES GOT THROUGH\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "11/12 hostile probes refused (0.2 s)\n    got through: It read a file.\n"
            ),
            "{text}"
        );
    }
}
