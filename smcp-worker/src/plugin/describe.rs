//! Asking a plugin what it offers: its `--describe` document, or else the commands in its `--help`.

use std::ffi::OsString;
use std::time::Duration;

use serde_json::Value;
use smcp_common::plugin::{Manifest, Plugin, Problem, help};

use super::process::{Exit, Invocation, Limits, capture};

/// How long a plugin may take to say what it offers.
const LIMIT: Duration = Duration::from_secs(10);
/// A description is never longer.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Fills in what the plugin says of itself. `start` is how the plugin is started, but for its arguments.
pub(super) async fn describe(plugin: &mut Plugin, start: &Invocation) {
    let described = ask(start, "--describe").await;
    match described.as_deref().map(serde_json::from_str::<Value>) {
        Ok(Ok(document)) if lists_commands(&document) => read(plugin, &document),
        Ok(Ok(_)) => fall_back(plugin, start, "--describe printed no list of commands").await,
        Ok(Err(error)) => {
            fall_back(
                plugin,
                start,
                &format!("--describe printed no JSON: {error}"),
            )
            .await;
        }
        Err(why) => fall_back(plugin, start, &format!("--describe {why}")).await,
    }
}

fn read(plugin: &mut Plugin, document: &Value) {
    match Manifest::parse(document) {
        Ok(manifest) => {
            plugin.description.clone_from(&manifest.description);
            plugin.sandbox.clone_from(&manifest.sandbox);
            plugin.runtime.clone_from(&manifest.runtime);
            plugin.files.clone_from(&manifest.files);
            plugin.secrets.clone_from(&manifest.secrets);
            (plugin.tools, plugin.problems) = manifest.into_tools(&plugin.name);
        }
        Err(problems) => plugin.problems = problems,
    }
}

async fn fall_back(plugin: &mut Plugin, start: &Invocation, why: &str) {
    let help = ask(start, "--help").await;
    match help {
        Ok(text) => {
            (plugin.tools, plugin.problems) = help::tools(&plugin.name, &text);
            if plugin.tools.is_empty() && plugin.problems.is_empty() {
                let problem = format!("{why}; --help has no list of 'Available commands:'");
                plugin.problems.push(Problem::from(problem));
            }
        }
        Err(help) => plugin
            .problems
            .push(Problem::from(format!("{why}; --help {help}"))),
    }
}

/// Whether it is meant to be a contract at all; what is wrong with it is then worth saying.
fn lists_commands(document: &Value) -> bool {
    document.get("commands").is_some()
}

/// What the plugin prints for `flag`; otherwise how it failed to.
async fn ask(start: &Invocation, flag: &str) -> Result<String, String> {
    let mut invocation = start.clone();
    invocation.args.push(OsString::from(flag));
    let limits = Limits {
        timeout: Some(LIMIT),
        stdout_max_bytes: MAX_BYTES,
        max_log_lines: 0,
        ..Limits::default()
    };
    let captured = capture(&invocation, &limits).await;
    let (ended, printed) = captured.map_err(|error| format!("could not be run: {error}"))?;
    let how = match ended.exit {
        Exit::Code(0) if ended.stdout_truncated => {
            return Err(format!("printed more than {MAX_BYTES} bytes"));
        }
        Exit::Code(0) => return Ok(String::from_utf8_lossy(&printed).into_owned()),
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::TimedOut | Exit::Stopped(_) => format!("did not end within {} s", LIMIT.as_secs()),
        Exit::Refused { reason, .. } => format!("could not be started: {reason}"),
    };
    Err(match last_line(&ended.stderr_tail) {
        Some(line) => format!("{how} ({line})"),
        None => how,
    })
}

fn last_line(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    Some(line.chars().take(200).collect())
}
