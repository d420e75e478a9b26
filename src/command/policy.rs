//! `smcp policy`: the rules, for those who write them. All of it is asked of the API, which knows tools and agents.

mod record;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::config::Environment;

use self::record::{Checked, Explained};
pub(super) use self::record::{decision, listed};
use self::table::{Replayed, Shown, Tested};
use super::call::{read_args, schema};
use super::with_client;
use crate::arguments;
use crate::cli::{Policy, PolicyCheck, PolicyExplain, PolicyReplay, PolicyShow, PolicyTest, Way};
use crate::client::Client;
use crate::failure::BadUsage;
use crate::terminal::{Style, print, print_json};

/// Carries out a command on rules.
pub(crate) fn run(what: Policy) -> anyhow::Result<ExitCode> {
    match what {
        Policy::Check(options) => with_client(&options.connection, async |client| {
            check(client, &options).await
        }),
        Policy::Explain(options) => with_client(&options.connection, async |client| {
            explain(client, &options).await
        }),
        Policy::Test(options) => with_client(&options.connection, async |client| {
            test(client, &options).await
        }),
        Policy::Show(options) => with_client(&options.connection, async |client| {
            show(client, &options).await
        }),
        Policy::Replay(options) => with_client(&options.connection, async |client| {
            replay(client, &options).await
        }),
    }
}

async fn check(client: &mut Client, options: &PolicyCheck) -> anyhow::Result<ExitCode> {
    let mut asked = json!({"files": files(options.dir.as_ref())?});
    if options.dir.is_some() {
        asked["allow_missing"] = options.allow_missing.into();
    }
    let answer = client.ask("policy__check", asked).await?;
    let checked = Checked::deserialize(&answer)?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        print(&checked.render(options.dir.as_deref(), style()))?;
    }
    Ok(status(checked.ok))
}

async fn explain(client: &mut Client, options: &PolicyExplain) -> anyhow::Result<ExitCode> {
    let tools = client.tools().await?;
    let json = read_args(&options.given)?;
    let json = json.as_deref();
    let words = &options.given.arguments;
    let arguments = match schema(&tools, &options.tool) {
        Ok(schema) => arguments::read(&options.tool, schema, json, words)?,
        // One that we may not call ourselves is not listed to us.
        Err(_) => arguments::untyped(json, words)?,
    };
    let asked = json!({
        "tool": options.tool,
        "arguments": arguments,
        "agent": options.agent,
        "groups": (!options.groups.is_empty()).then_some(&options.groups),
        "at": options.at.map(|at| at.to_string()),
        "via": match options.via {
            Way::Call => "call",
            Way::Schedule => "schedule",
            Way::Workflow => "workflow",
            Way::Approval => "approval",
        },
        "transport": options.transport,
        "address": options.address,
        "dry_run": options.dry_run,
        "files": files(options.policies.as_ref())?,
    });
    let answer = client.ask("policy__explain", asked).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        print(&Explained::deserialize(&answer)?.render(style()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn test(client: &mut Client, options: &PolicyTest) -> anyhow::Result<ExitCode> {
    let cases = cases(&options.file)?;
    let asked = json!({"cases": cases, "files": files(options.policies.as_ref())?});
    let answer = client.ask("policy__test", asked).await?;
    let tested = Tested::deserialize(&answer)?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        print(&tested.render(style()))?;
    }
    Ok(status(tested.failed == 0))
}

async fn show(client: &mut Client, options: &PolicyShow) -> anyhow::Result<ExitCode> {
    let asked = json!({
        "agent": options.agent,
        "groups": (!options.groups.is_empty()).then_some(&options.groups),
        "files": files(options.policies.as_ref())?,
    });
    let answer = client.ask("policy__show", asked).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        print(&Shown::deserialize(&answer)?.render(style()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(client: &mut Client, options: &PolicyReplay) -> anyhow::Result<ExitCode> {
    let asked = json!({
        "since": options.since.to_string(),
        "until": options.until.map(|until| until.to_string()),
        "limit": options.limit,
        "files": files(options.policies.as_ref())?,
    });
    let answer = client.ask("policy__replay", asked).await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        print(&Replayed::deserialize(&answer)?.render(style()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn style() -> Style {
    Style::of_stdout(&Environment::of_process())
}

fn status(is_fine: bool) -> ExitCode {
    if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The rules of a directory, as the API is asked about them.
fn files(directory: Option<&PathBuf>) -> anyhow::Result<Value> {
    let Some(directory) = directory else {
        return Ok(Value::Null);
    };
    let files = smcp_api::rules::read_directory(directory)?;
    let files =
        files.ok_or_else(|| BadUsage(format!("there is no directory {}", directory.display())))?;
    Ok(json!(files))
}

/// The cases of a table.
fn cases(file: &Path) -> anyhow::Result<Value> {
    let name = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let is_json = file
        .extension()
        .is_some_and(|extension| extension == "json");
    let read: Value = if is_json {
        serde_json::from_str(&text).map_err(|error| BadUsage(format!("{name}: {error}")))?
    } else {
        toml::from_str(&text).map_err(|error| BadUsage(format!("{name}: {error}")))?
    };
    let cases = match read {
        Value::Array(cases) => cases,
        Value::Object(mut table) => list_of(&mut table),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    if cases.is_empty() {
        return Err(BadUsage(format!(
            "{name} has no case: write [[case]], or a JSON list"
        ))
        .into());
    }
    Ok(Value::Array(cases))
}

fn list_of(table: &mut Map<String, Value>) -> Vec<Value> {
    match table.remove("case") {
        Some(Value::Array(cases)) => cases,
        Some(_) | None => Vec::new(),
    }
}
