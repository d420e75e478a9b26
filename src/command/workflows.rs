//! `smcp workflows`: steps that wait for each other, and how far they are.

mod tree;

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use smcp_common::clock::{Clock as _, SystemClock};
use smcp_common::config::Environment;

use self::tree::Workflow;
use super::with_client;
use crate::cli::{WorkflowRef, Workflows, WorkflowsCancel, WorkflowsList, WorkflowsSubmit};
use crate::client::Client;
use crate::duration;
use crate::failure::BadUsage;
use crate::table::Table;
use crate::terminal::{Style, one_line, print, print_json};

/// How long one question for news is left open.
const WAIT_S: u64 = 25;

/// Carries out a command on workflows.
pub(crate) fn run(what: Workflows) -> anyhow::Result<ExitCode> {
    match what {
        Workflows::Submit(options) => {
            let definition = definition(&options.file)?;
            with_client(&options.connection, async |client| {
                submit(client, &options, definition.clone()).await
            })
        }
        Workflows::List(options) => with_client(&options.connection, async |client| {
            list(client, &options).await
        }),
        Workflows::Show(workflow) => with_client(&workflow.connection, async |client| {
            show(client, &workflow).await
        }),
        Workflows::Cancel(options) => with_client(&options.connection, async |client| {
            cancel(client, &options).await
        }),
    }
}

/// Reads a definition: JSON where it is an object of JSON, else TOML.
pub(super) fn definition(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let name = file.display();
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?
    };
    let read = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| format!("is no JSON object: {error}"))
    } else {
        toml::from_str(&text).map_err(|error| format!("is neither TOML nor a JSON object: {error}"))
    };
    Ok(read.map_err(|problem| BadUsage(format!("{name} {problem}")))?)
}

async fn submit(
    client: &mut Client,
    options: &WorkflowsSubmit,
    mut definition: Map<String, Value>,
) -> anyhow::Result<ExitCode> {
    if let Some(key) = &options.key {
        definition.insert("idempotency_key".to_owned(), json!(key));
    }
    let submitted = client.ask("workflows__submit", definition.into()).await?;
    let id = submitted["id"].as_str().unwrap_or_default();
    if options.wait {
        return follow(client, id, options.connection.json).await;
    }
    if options.connection.json {
        print_json(&submitted)?;
    } else {
        print(id)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells of each step as it changes, and shows the tree at the end.
async fn follow(client: &mut Client, id: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let style = Style::of_stdout(&Environment::of_process());
    let (mut told, mut question) = (HashMap::new(), json!({ "id": id, "wait_s": 0 }));
    if !as_json {
        print(&format!("workflow {id}"))?;
    }
    loop {
        let answer = client.ask("workflows__get", question).await?;
        let workflow = Workflow::read(&answer)?;
        for line in workflow.changes(&mut told, style) {
            if !as_json {
                print(&line)?;
            }
        }
        if workflow.is_over() {
            if as_json {
                print_json(&answer)?;
            } else {
                print(&format!("\n{}", workflow.render(SystemClock.now(), style)))?;
            }
            return Ok(if workflow.state == "succeeded" {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        question = json!({ "id": id, "after": answer["revision"], "wait_s": WAIT_S });
    }
}

async fn show(client: &mut Client, options: &WorkflowRef) -> anyhow::Result<ExitCode> {
    let answer = client
        .ask("workflows__get", json!({ "id": options.id }))
        .await?;
    if options.connection.json {
        print_json(&answer)?;
    } else {
        let style = Style::of_stdout(&Environment::of_process());
        print(&Workflow::read(&answer)?.render(SystemClock.now(), style))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &mut Client, options: &WorkflowsList) -> anyhow::Result<ExitCode> {
    let mut filter = json!({ "limit": options.limit });
    if let Some(state) = options.state {
        filter["state"] = json!(state);
    }
    let mut answer = client.ask("workflows__list", filter).await?;
    let workflows = answer["workflows"].take();
    if options.connection.json {
        print_json(&workflows)?;
    } else {
        print(&table(&Vec::deserialize(workflows)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(workflows: &[Workflow]) -> String {
    if workflows.is_empty() {
        return "no workflows\n".to_owned();
    }
    let (now, style) = (
        SystemClock.now(),
        Style::of_stdout(&Environment::of_process()),
    );
    let mut table = Table::new(["ID", "STATE", "AGE", "AGENT", "NAME"]);
    for workflow in workflows {
        table.row([
            workflow.id.clone(),
            workflow.state.clone(),
            duration::render(now.since(workflow.created_at)),
            workflow.agent.clone(),
            one_line(workflow.name.as_deref().unwrap_or("-")),
        ]);
    }
    table.render(|row, column, cell| match (row, column) {
        (0, _) => style.bold(cell),
        (_, 1) => style.state(cell),
        _ => cell.to_owned(),
    })
}

async fn cancel(client: &mut Client, options: &WorkflowsCancel) -> anyhow::Result<ExitCode> {
    let mut question = json!({ "id": options.id });
    if let Some(reason) = &options.reason {
        question["reason"] = json!(reason);
    }
    let cancelled = client.ask("workflows__cancel", question).await?;
    if options.connection.json {
        print_json(&cancelled)?;
    } else {
        print(match cancelled["state"].as_str().unwrap_or_default() {
            "running" => "it is being stopped",
            state => state,
        })?;
    }
    Ok(ExitCode::SUCCESS)
}
