//! `smcp call`: a tool call, waited for or left to itself.

mod dry_run;

use std::io::{self, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rmcp::model::{CallToolResult, ProgressNotificationParam, Tool};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use smcp_api::answer::{EXCERPT_META, JOB_META};
use smcp_api::mcp::{KEY_META, PENDING_META, RETRY_META};
use smcp_common::config::Environment;
use smcp_common::job::{Failure, JobId};

use super::with_client;
use crate::arguments;
use crate::cli::{Call, Given};
use crate::client::{Client, ToolError, text};
use crate::failure::BadUsage;
use crate::terminal::{Progress, print, print_json, print_raw, warn};

/// Calls a tool.
pub(crate) fn run(options: &Call) -> anyhow::Result<ExitCode> {
    with_client(&options.connection, async |client| {
        let tools = client.tools().await?;
        let json = read_args(&options.given)?;
        let json = json.as_deref();
        let schema = match schema(&tools, &options.tool) {
            Ok(schema) => schema,
            Err(unlisted) if options.dry_run => {
                return dry_run::run_unlisted(client, options, json, unlisted).await;
            }
            Err(unlisted) => return Err(unlisted.into()),
        };
        let arguments = arguments::read(&options.tool, schema, json, &options.given.arguments)?;
        if options.dry_run {
            dry_run::run(client, options, arguments).await
        } else if options.detach || options.at.is_some() || options.r#in.is_some() {
            submit(client, options, arguments).await
        } else {
            call(client, options, arguments).await
        }
    })
}

async fn call(
    client: &mut Client,
    options: &Call,
    arguments: Map<String, Value>,
) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::on_stderr(&Environment::of_process());
    let mut last = None::<f64>;
    // With a key of its own the call can be made again where the API asks us to wait on; the job stays the same.
    let key = options.key.clone();
    let key = key.unwrap_or_else(|| JobId::random().as_str().to_owned());
    let mut meta = Map::from_iter([(KEY_META.to_owned(), Value::from(key))]);
    meta.extend(retry(options).map(|retry| (RETRY_META.to_owned(), retry)));
    let mut show = |news: ProgressNotificationParam| {
        // A line that the plugin wrote to its standard error counts as next to nothing.
        let is_log =
            news.total.is_none() || last.is_some_and(|last| news.progress <= last.next_up());
        last = Some(news.progress);
        match &news.message {
            Some(line) if is_log => progress.log(line),
            message => progress.report(news.progress, news.total, message.as_deref()),
        }
    };
    let result = loop {
        let arguments = arguments.clone();
        let answer = client
            .call(&options.tool, arguments, meta.clone(), &mut show)
            .await?;
        if !is_pending(&answer) {
            break answer;
        }
    };
    drop(progress);
    let failed = result.is_error == Some(true);
    if options.connection.json {
        print_json(&result)?;
    } else if let Some(job) = cut_output(&result) {
        return whole_output(client, job).await;
    } else if failed {
        bail!(ToolError::of(&result));
    } else {
        print(&text(&result))?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Whether the answer is that the job goes on.
fn is_pending(answer: &CallToolResult) -> bool {
    let meta = answer.meta.as_ref();
    meta.is_some_and(|meta| meta.0.get(PENDING_META) == Some(&Value::Bool(true)))
}

/// The job whose output did not fit the answer, where that is so.
fn cut_output(result: &CallToolResult) -> Option<&str> {
    let meta = &result.meta.as_ref()?.0;
    meta.get(EXCERPT_META)?;
    meta.get(JOB_META)?.as_str()
}

/// Prints all of what an answer has an excerpt of, so that a file to which it goes is complete.
async fn whole_output(client: &mut Client, job: &str) -> anyhow::Result<ExitCode> {
    let mut ends_line = true;
    let last = super::jobs::pages(client, job, |printed| {
        ends_line = printed.ends_with('\n');
        print_raw(printed)
    })
    .await?;
    if !ends_line {
        print_raw("\n")?;
    }
    if let Some(Failure { code, message }) = Option::deserialize(&last["warning"])? {
        bail!("{code}: {message}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn submit(
    client: &mut Client,
    options: &Call,
    arguments: Map<String, Value>,
) -> anyhow::Result<ExitCode> {
    let mut request = json!({ "tool": options.tool, "arguments": arguments });
    if let Some(key) = &options.key {
        request["idempotency_key"] = json!(key);
    }
    if let Some(retry) = retry(options) {
        request["retry"] = retry;
    }
    if let Some(at) = options.at {
        request["run_at"] = json!(at.to_string());
    }
    if let Some(delay) = options.r#in {
        request["delay_s"] = json!(delay.as_secs());
    }
    let submitted = client.ask("jobs__submit", request).await?;
    if options.connection.json {
        print_json(&submitted)?;
    } else {
        print(
            submitted["id"]
                .as_str()
                .context("jobs__submit gave no job id")?,
        )?;
        let paused = submitted["waiting"].as_array().into_iter().flatten();
        for reason in paused.filter(|reason| reason["code"] == "paused") {
            warn(reason["message"].as_str().unwrap_or_default())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The retry policy that the options ask for.
fn retry(options: &Call) -> Option<Value> {
    let attempts = options.attempts?;
    Some(json!({ "max_attempts": attempts }))
}

/// The JSON of `--args`, or what standard input has in its place.
pub(super) fn read_args(given: &Given) -> anyhow::Result<Option<String>> {
    if given.args.as_deref() != Some("-") {
        return Ok(given.args.clone());
    }
    let mut json = String::new();
    io::stdin()
        .read_to_string(&mut json)
        .context("cannot read the arguments from standard input")?;
    Ok(Some(json))
}

/// What a tool's arguments must look like.
///
/// # Errors
/// There is no such tool; similar ones are named.
pub(super) fn schema<'t>(
    tools: &'t [Tool],
    name: &str,
) -> Result<&'t Map<String, Value>, BadUsage> {
    if let Some(tool) = tools.iter().find(|tool| tool.name == name) {
        return Ok(&tool.input_schema);
    }
    let similar: Vec<_> = tools
        .iter()
        .map(|tool| tool.name.as_ref())
        .filter(|tool| are_similar(tool, name))
        .collect();
    let hint = if similar.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", similar.join(" or "))
    };
    Err(BadUsage(format!(
        "there is no tool '{name}' that you may call{hint}\n  smcp tools lists those that can be called, smcp plugins list why others cannot"
    )))
}

/// Whether one is a part of the other, or both name the same plugin or command.
fn are_similar(tool: &str, name: &str) -> bool {
    let fold = |text: &str| text.to_lowercase().replace('-', "_");
    let (tool, name) = (fold(tool), fold(name));
    let same_part = tool
        .split_once("__")
        .zip(name.split_once("__"))
        .is_some_and(|(a, b)| a.0 == b.0 || a.1 == b.1);
    name.len() > 2 && (tool.contains(&name) || name.contains(&tool) || same_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_tool_is_answered_with_similar_ones() {
        let rows = [
            ("demo_math__calculate", "calculate", true),
            ("demo_math__calculate", "demo-math__calculate", true),
            ("demo_math__calculate", "demo_math__calc", true),
            ("demo_math__calculate", "math__calculate", true),
            ("demo_math__calculate", "demo_text__count", false),
            ("demo_math__calculate", "h", false),
        ];
        for (tool, name, expected) in rows {
            assert_eq!(are_similar(tool, name), expected, "{name}");
        }
    }

    #[test]
    fn an_unknown_tool_is_an_error_that_says_where_to_look() {
        let tools: Vec<Tool> = serde_json::from_value(
            json!([{"name": "demo_text__upper", "inputSchema": {"type": "object"}}]),
        )
        .unwrap();
        let said = schema(&tools, "upper").unwrap_err().to_string();
        assert_eq!(
            said,
            "there is no tool 'upper' that you may call; did you mean demo_text__upper?\n  smcp tools lists those that can be called, smcp plugins list why others cannot"
        );
        assert!(schema(&tools, "demo_text__upper").is_ok());
    }
}
