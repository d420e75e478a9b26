//! `smcp call --dry-run`: what a call would do.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::config::Environment;
use smcp_common::policy::Approval;

use crate::arguments::untyped;
use crate::cli::Call;
use crate::client::{Client, ToolError};
use crate::command::policy::{decision, listed};
use crate::failure::BadUsage;
use crate::terminal::{Style, one_line, print, print_json};

/// What `jobs__submit` answers to a dry run, as far as people want to see it.
#[derive(Debug, Deserialize)]
struct Told {
    decision: String,
    message: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
    approval: Option<Approval>,
    #[serde(default)]
    limits: Vec<Bound>,
    command_line: Vec<String>,
    lane: Option<Lane>,
    effect: String,
    timeout_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Bound {
    rule: String,
    limit: String,
    used: u32,
    allowed: u32,
}

#[derive(Debug, Deserialize)]
struct Lane {
    name: String,
    queued: u64,
    running: u64,
}

/// Asks what a call would do; the exit code is 1 where it is not allowed.
pub(super) async fn run(
    client: &mut Client,
    options: &Call,
    arguments: Map<String, Value>,
) -> anyhow::Result<ExitCode> {
    let asked = json!({"tool": options.tool, "arguments": arguments, "dry_run": true});
    let answer = client.ask("jobs__submit", asked).await?;
    let told = Told::deserialize(&answer)?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        print(&told.render(Style::of_stdout(&Environment::of_process())))?;
    }
    Ok(if told.decision == "deny" {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The same of a tool that is not listed to us: to tell why it cannot be called is what this is for.
///
/// # Errors
/// `unlisted` where there is no such tool at all.
pub(super) async fn run_unlisted(
    client: &mut Client,
    options: &Call,
    json: Option<&str>,
    unlisted: BadUsage,
) -> anyhow::Result<ExitCode> {
    let told = run(client, options, untyped(json, &options.given.arguments)?).await;
    let is_unknown = |error: &anyhow::Error| {
        let error = error.downcast_ref::<ToolError>();
        error.is_some_and(|error| error.code == "unknown_tool")
    };
    match told {
        Err(error) if is_unknown(&error) => Err(unlisted.into()),
        told => told,
    }
}

impl Told {
    fn render(&self, style: Style) -> String {
        let mut text = decision(&self.decision, style);
        text.push('\n');
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            writeln!(
                text,
                "{} {}",
                style.bold(&format!("{name:<10}")),
                one_line(value)
            )
            .unwrap_or_default();
        };
        if let Some(message) = &self.message {
            line("why", message);
        }
        line("rules", &listed(&self.rules, "none"));
        if let Some(approval) = &self.approval {
            line("needs", &approval.to_string());
        }
        for Bound {
            rule,
            limit,
            used,
            allowed,
        } in &self.limits
        {
            line(
                "limit",
                &format!("{used} of {allowed} used: {limit}, rule {rule}"),
            );
        }
        line("runs", &self.command_line.join(" "));
        line("effect", &self.effect);
        let limit = self
            .timeout_ms
            .map(|ms| format!("{} s", ms.div_ceil(1_000)));
        line("timeout", limit.as_deref().unwrap_or("none"));
        match &self.lane {
            Some(Lane {
                name,
                queued,
                running,
            }) => line(
                "lane",
                &format!("{name}: {running} running, {queued} waiting"),
            ),
            None => line("lane", "none: it runs beside anything"),
        }
        text.push_str("Nothing has been run; --json also tells the sandbox.\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decision_comes_first() {
        let told = json!({
            "decision": "approval", "rules": ["a", "b"], "approval": {"groups": ["ops"], "approvals": 2},
            "limits": [{"rule": "a", "limit": "4 calls within 1h", "used": 1, "allowed": 4, "frees_at": null}],
            "command_line": ["deploy", "--app", "web"], "lane": {"name": "devops", "queued": 3, "running": 1},
            "effect": "once", "timeout_ms": 1_500,
        });
        assert_eq!(
            Told::deserialize(told).unwrap().render(Style::default()),
            "approval\n\
             rules      a and b\n\
             needs      the approval of 2 of ops\n\
             limit      1 of 4 used: 4 calls within 1h, rule a\n\
             runs       deploy --app web\n\
             effect     once\n\
             timeout    2 s\n\
             lane       devops: 1 running, 3 waiting\n\
             Nothing has been run; --json also tells the sandbox.\n"
        );
    }
}
