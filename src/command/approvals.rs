//! `smcp approvals`: what waits for somebody's word, and the word.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::approval::{Voice, list as names};
use smcp_common::clock::Timestamp;
use smcp_common::config::Environment;
use smcp_common::job::JobId;

use super::with_client;
use crate::cli::{Approvals, ApprovalsSay, ApprovalsShow};
use crate::client::{Client, Target};
use crate::failure::BadUsage;
use crate::table::Table;
use crate::terminal::{Style, one_line, print, print_json, print_raw};

/// A request, as `approvals__list` shows it.
#[derive(Debug, Deserialize)]
struct Request {
    job: String,
    agent: String,
    tool: String,
    arguments: Map<String, Value>,
    groups: Vec<String>,
    approvals: u32,
    given: Vec<Given>,
    rules: Vec<String>,
    requested_at: Timestamp,
    expires_at: Timestamp,
    digest: String,
    may_approve: bool,
    why_not: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Given {
    agent: String,
    at: Timestamp,
}

/// Carries out a command on approvals.
pub(crate) fn run(what: Approvals) -> anyhow::Result<ExitCode> {
    match what {
        Approvals::List(options) => with_client(&options.connection, async |client| {
            let mut answer = client.ask("approvals__list", json!({})).await?;
            let found = answer["approvals"].take();
            if options.connection.json {
                print_json(&found)?;
            } else {
                print(&table(&Vec::deserialize(found)?, style()))?;
            }
            Ok(ExitCode::SUCCESS)
        }),
        Approvals::Show(options) => with_client(&options.connection, async |client| {
            let found = find(client, &options.job).await?;
            if options.connection.json {
                print_json(&found)?;
            } else {
                print(&Request::deserialize(found)?.render(style()))?;
            }
            Ok(ExitCode::SUCCESS)
        }),
        Approvals::Approve(options) => say(&options, Voice::Approve),
        Approvals::Deny(options) => say(&options, Voice::Deny),
        Approvals::Link(options) => link(&options),
    }
}

fn say(options: &ApprovalsSay, voice: Voice) -> anyhow::Result<ExitCode> {
    with_client(&options.connection, async |client| {
        let digest = match &options.digest {
            Some(digest) => Some(digest.clone()),
            None => consent(client, options, voice).await?,
        };
        let tool = match voice {
            Voice::Approve => "approvals__approve",
            Voice::Deny => "approvals__deny",
        };
        let word = json!({"job": options.job, "digest": digest, "reason": options.reason});
        let answer = client.ask(tool, word).await?;
        if options.connection.json {
            print_json(&answer)?;
        } else {
            let state = answer["state"].as_str().unwrap_or_default();
            print(&format!(
                "{} is {}",
                options.job,
                style().state(&state.replace('_', " "))
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Shows what would run and asks; answers the digest of what was shown.
async fn consent(
    client: &mut Client,
    options: &ApprovalsSay,
    voice: Voice,
) -> anyhow::Result<Option<String>> {
    if options.yes {
        return Ok(None);
    }
    if !io::stdin().is_terminal() {
        bail!(BadUsage(
            "nobody can be asked here: add --yes, or --digest with what smcp approvals show prints"
                .to_owned()
        ));
    }
    let request = Request::deserialize(find(client, &options.job).await?)?;
    print(&request.render(style()))?;
    let verb = match voice {
        Voice::Approve => "Approve of this",
        Voice::Deny => "Deny this",
    };
    print_raw(&format!("\n{verb}? [y/N] "))?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!(BadUsage("nothing has been done".to_owned()));
    }
    Ok(Some(request.digest))
}

fn link(options: &ApprovalsShow) -> anyhow::Result<ExitCode> {
    let target = Target::of(&options.connection)?;
    with_client(&options.connection, async |client| {
        let asked = json!({ "job": options.job });
        let mut answer = client.ask("approvals__link", asked).await?;
        let url = format!(
            "{}{}",
            target.url,
            answer["path"].as_str().unwrap_or_default()
        );
        if options.connection.json {
            answer["url"] = url.into();
            print_json(&answer)?;
        } else {
            print(&url)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn find(client: &mut Client, job: &JobId) -> anyhow::Result<Value> {
    let mut answer = client.ask("approvals__list", json!({ "job": job })).await?;
    let found = answer["approvals"].get_mut(0).map(Value::take);
    found.with_context(|| format!("job {job} waits for nobody's approval, or not for yours"))
}

fn style() -> Style {
    Style::of_stdout(&Environment::of_process())
}

fn table(requests: &[Request], style: Style) -> String {
    if requests.is_empty() {
        return "Nothing waits for an approval.\n".to_owned();
    }
    let mut table = Table::new([
        "JOB", "TOOL", "AGENT", "NEEDS", "GIVEN", "EXPIRES", "YOU MAY",
    ]);
    for request in requests {
        table.row([
            request.job.clone(),
            one_line(&request.tool),
            one_line(&request.agent),
            one_line(&names(&request.groups)),
            format!("{} of {}", request.given.len(), request.approvals),
            request.expires_at.to_string(),
            if request.may_approve { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table.render(|row, _, cell| match row {
        0 => style.bold(cell),
        _ => cell.to_owned(),
    })
}

impl Request {
    fn render(&self, style: Style) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            writeln!(text, "{} {value}", style.bold(&format!("{name:<10}"))).unwrap_or_default();
        };
        line("job", &self.job);
        line("agent", &one_line(&self.agent));
        line("tool", &one_line(&self.tool));
        if self.arguments.is_empty() {
            line("", "without arguments");
        }
        for (name, value) in &self.arguments {
            line("", &one_line(&format!("{name} = {value}")));
        }
        let members = names(&self.groups);
        line(
            "needs",
            &format!("{} of {}", self.approvals, one_line(&members)),
        );
        for given in &self.given {
            line(
                "given",
                &format!("by {} at {}", one_line(&given.agent), given.at),
            );
        }
        line(
            "asked",
            &format!(
                "{}, since {} asks for it",
                self.requested_at,
                names(&self.rules)
            ),
        );
        line("expires", &self.expires_at.to_string());
        line("digest", &self.digest);
        if let Some(why) = &self.why_not {
            line("you", &style.yellow(&format!("may not: {}", one_line(why))));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(may_approve: bool) -> Request {
        let shown = json!({
            "job": "j1", "agent": "ci", "tool": "devops__deploy", "arguments": {"app": "web\u{1b}"}, "source": "call",
            "groups": ["ops"], "approvals": 2, "given": [{"agent": "ann", "groups": ["ops"], "at": 500}],
            "rules": ["ask"], "requested_at": 0, "expires_at": 1_000, "digest": "ab",
            "may_approve": may_approve, "why_not": (!may_approve).then_some("it is yours"),
        });
        Request::deserialize(shown).unwrap()
    }

    #[test]
    fn a_request_shows_exactly_what_would_run() {
        assert_eq!(
            request(false).render(Style::default()),
            "job        j1\n\
             agent      ci\n\
             tool       devops__deploy\n           \
             app = \"web\\u001b\"\n\
             needs      2 of ops\n\
             given      by ann at 1970-01-01T00:00:00.500Z\n\
             asked      1970-01-01T00:00:00.000Z, since ask asks for it\n\
             expires    1970-01-01T00:00:01.000Z\n\
             digest     ab\n\
             you        may not: it is yours\n"
        );
    }

    #[test]
    fn requests_are_listed_in_lines() {
        assert_eq!(
            table(&[], Style::default()),
            "Nothing waits for an approval.\n"
        );
        assert_eq!(
            table(&[request(true)], Style::default()),
            "JOB  TOOL            AGENT  NEEDS  GIVEN   EXPIRES                   YOU MAY\n\
             j1   devops__deploy  ci     ops    1 of 2  1970-01-01T00:00:01.000Z  yes\n"
        );
    }
}
