//! `smcp secrets`: what only plugins see. Values go in, and never come out.

mod letta;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::config::Environment;
use smcp_common::secret::{InvalidSecret, MAX_VALUE_BYTES, Plain, check_name, check_value};

use super::with_client;
use crate::cli::{Secrets, SecretsList, SecretsRemove, SecretsRotateKey, SecretsSet};
use crate::client::Client;
use crate::failure::BadUsage;
use crate::table::Table;
use crate::terminal::{Style, ask_hidden, counted, print, print_json, warn};

/// The answer of `secrets__list`.
#[derive(Debug, Deserialize)]
struct Listing {
    secrets: Vec<Stored>,
    missing: Vec<Missing>,
}

#[derive(Debug, Deserialize)]
struct Stored {
    name: String,
    agent: Option<String>,
    updated_at: Timestamp,
    updated_by: String,
    tools: Vec<String>,
}

/// What tools declare and nobody has set.
#[derive(Debug, Deserialize)]
struct Missing {
    name: String,
    required: bool,
    tools: Vec<String>,
}

/// The answer of `secrets__rotate_key`.
#[derive(Debug, Deserialize)]
struct Rotated {
    old: String,
    new: String,
    secrets: usize,
    jobs: usize,
}

/// Carries out a command on secrets.
pub(crate) fn run(what: Secrets) -> anyhow::Result<ExitCode> {
    match what {
        Secrets::Set(options) => set(&options),
        Secrets::List(options) => with_client(&options.connection, async |client| {
            list(client, &options).await
        }),
        Secrets::Remove(options) => with_client(&options.connection, async |client| {
            remove(client, &options).await
        }),
        Secrets::RotateKey(options) => with_client(&options.connection, async |client| {
            rotate(client, &options).await
        }),
        Secrets::ImportLetta(options) => letta::import(&options),
    }
}

fn set(options: &SecretsSet) -> anyhow::Result<ExitCode> {
    checked(check_name(&options.name))?;
    // Nobody is asked for a value that nobody would take.
    with_client(&options.connection, async |client| {
        let value = if io::stdin().is_terminal() {
            asked(&options.name).await?
        } else {
            read()?
        };
        checked(check_value(value.reveal()))?;
        let answer = store(client, &options.name, options.agent.as_deref(), &value).await?;
        if options.connection.json {
            print_json(&answer)?;
        } else {
            let verb = if answer["new"] == true {
                "set"
            } else {
                "replaced"
            };
            print(&format!(
                "{} is {verb} for {}\n",
                options.name,
                whose(options.agent.as_deref())
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Sends a value to the API, as safely as it is connected.
pub(super) async fn store(
    client: &mut Client,
    name: &str,
    agent: Option<&str>,
    value: &Plain,
) -> anyhow::Result<Value> {
    if !client.is_local() {
        warn("the API is not on this machine: the value travels to it unencrypted")?;
    }
    let asked = json!({"name": name, "agent": agent, "value": value.reveal()});
    client.ask("secrets__set", asked).await
}

fn checked(found: Result<(), InvalidSecret>) -> Result<(), BadUsage> {
    found.map_err(|error| BadUsage(error.to_string()))
}

/// The value that somebody types, twice.
async fn asked(name: &str) -> anyhow::Result<Plain> {
    let nothing = |why: &str| BadUsage(format!("{why}nothing has been stored"));
    let first = ask_hidden(format!("Value of {name}: ")).await?;
    let first = first.ok_or_else(|| nothing(""))?;
    checked(check_value(first.reveal()))?;
    let second = ask_hidden("Once more: ".to_owned()).await?;
    if second.ok_or_else(|| nothing(""))? != first {
        return Err(nothing("the two values differ; ").into());
    }
    Ok(first)
}

/// The value on standard input.
fn read() -> anyhow::Result<Plain> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_VALUE_BYTES + 3).unwrap_or(u64::MAX);
    io::stdin()
        .take(most)
        .read_to_end(&mut bytes)
        .context("cannot read the value from standard input")?;
    let text = str::from_utf8(&bytes).map_err(|_| {
        BadUsage("the value is not UTF-8 text; encode it, as base64 for example".to_owned())
    })?;
    Ok(Plain::new(without_line_end(text).to_owned()))
}

fn without_line_end(text: &str) -> &str {
    let line = text.strip_suffix('\n');
    line.map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

async fn list(client: &mut Client, options: &SecretsList) -> anyhow::Result<ExitCode> {
    let answer = client.ask("secrets__list", json!({})).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        let style = Style::of_stdout(&Environment::of_process());
        print(&Listing::deserialize(answer)?.render(style))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(client: &mut Client, options: &SecretsRemove) -> anyhow::Result<ExitCode> {
    let asked = json!({"name": options.name, "agent": options.agent});
    let answer = client.ask("secrets__remove", asked).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        let whose = whose(options.agent.as_deref());
        print(&format!("{} is removed for {whose}\n", options.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate(client: &mut Client, options: &SecretsRotateKey) -> anyhow::Result<ExitCode> {
    let answer = client.ask("secrets__rotate_key", json!({})).await?;
    if options.connection.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Rotated {
        old,
        new,
        secrets,
        jobs,
    } = Rotated::deserialize(answer)?;
    print(&format!(
        "the key is {new} now, and was {old}\nencrypted anew: {} and the secret arguments of {}\n",
        counted(secrets, "secret"),
        counted(jobs, "job")
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn whose(agent: Option<&str>) -> String {
    agent.map_or_else(
        || "everybody".to_owned(),
        |agent| format!("the agent {agent}"),
    )
}

impl Listing {
    fn render(&self, style: Style) -> String {
        let mut text = String::new();
        if self.secrets.is_empty() {
            text.push_str("no secrets\n");
        } else {
            let mut table = Table::new(["NAME", "FOR", "SET", "BY", "TOOLS"]);
            for secret in &self.secrets {
                table.row([
                    secret.name.clone(),
                    secret
                        .agent
                        .clone()
                        .unwrap_or_else(|| "everybody".to_owned()),
                    secret.updated_at.to_string(),
                    secret.updated_by.clone(),
                    joined(&secret.tools),
                ]);
            }
            text = table.render(|row, _, cell| match row {
                0 => style.bold(cell),
                _ => cell.to_owned(),
            });
        }
        for Missing {
            name,
            required,
            tools,
        } in &self.missing
        {
            let (sign, need) = if *required {
                (style.yellow("missing:"), "needed by")
            } else {
                (style.dim("not set:"), "taken by")
            };
            // Writing to a String cannot fail.
            writeln!(text, "{sign} {name}, {need} {}", joined(tools)).unwrap_or_default();
        }
        text
    }
}

fn joined(tools: &[String]) -> String {
    if tools.is_empty() {
        "-".to_owned()
    } else {
        tools.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_dropped() {
        let rows = [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a\r", "a\r"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(without_line_end(text), expected, "{text:?}");
        }
    }

    #[test]
    fn secrets_are_listed_with_their_tools_and_what_is_missing() {
        let listing = json!({
            "secrets": [
                {"name": "TOKEN", "agent": null, "updated_at": 1_000, "updated_by": "operator", "tools": ["w__now", "w__next"]},
                {"name": "TOKEN", "agent": "ada", "updated_at": 1_000, "updated_by": "operator", "tools": []},
            ],
            "missing": [{"name": "KEY", "required": true, "tools": ["d__run"]},
                        {"name": "OPT", "required": false, "tools": ["d__run"]}],
        });
        let listing = Listing::deserialize(listing).unwrap();
        let expected = "\
NAME   FOR        SET                       BY        TOOLS
TOKEN  everybody  1970-01-01T00:00:01.000Z  operator  w__now, w__next
TOKEN  ada        1970-01-01T00:00:01.000Z  operator  -
missing: KEY, needed by d__run
not set: OPT, taken by d__run
";
        assert_eq!(listing.render(Style::default()), expected);
    }
}
