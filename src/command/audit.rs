//! `smcp audit`: what was recorded, and whether it is still what was recorded. Reading goes through the API, by whose
//! rules it is allowed; verifying needs no server, as it must not depend on one.

mod record;
mod verify;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use smcp_common::config::Environment;

use self::record::{Record, table};
pub(crate) use self::verify::local_key;
use super::with_client;
use crate::cli::{Audit, AuditExport, AuditFormat, AuditSearch, AuditTail, Span};
use crate::client::Client;
use crate::failure::BadUsage;
use crate::terminal::{Style, print, print_json, print_raw};

/// How often to look for new records.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most that one question for records answers.
const PAGE: u32 = 1_000;

/// Carries out a command on audit records.
pub(crate) fn run(what: Audit) -> anyhow::Result<ExitCode> {
    match what {
        Audit::Tail(options) => with_client(&options.connection, async |client| {
            tail(client, &options).await
        }),
        Audit::Search(options) => with_client(&options.connection, async |client| {
            search(client, &options).await
        }),
        Audit::Export(options) => with_client(&options.connection, async |client| {
            export(client, &options).await
        }),
        Audit::Verify(options) => verify::run(&options),
    }
}

#[derive(Deserialize)]
struct Newest {
    records: Vec<Value>,
    last: i64,
}

async fn tail(client: &mut Client, options: &AuditTail) -> anyhow::Result<ExitCode> {
    let style = Style::of_stdout(&Environment::of_process());
    let mut question = json!({ "limit": options.limit });
    loop {
        let newest: Newest = client.ask_as("audit__tail", question).await?;
        for value in &newest.records {
            if options.connection.json {
                print(&value.to_string())?;
            } else {
                print(&Record::deserialize(value)?.line(style))?;
            }
        }
        if !options.follow {
            return Ok(ExitCode::SUCCESS);
        }
        if newest.records.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        question = json!({ "after": newest.last, "limit": PAGE });
    }
}

#[derive(Deserialize)]
struct Page {
    records: Vec<Value>,
    next: Option<i64>,
}

async fn search(client: &mut Client, options: &AuditSearch) -> anyhow::Result<ExitCode> {
    let mut question = span(&options.span);
    let AuditSearch {
        agent,
        tool,
        kind,
        job,
        ..
    } = options;
    for (name, value) in [
        ("agent", agent),
        ("tool", tool),
        ("kind", kind),
        ("job", job),
    ] {
        if let Some(value) = value {
            question.insert(name.to_owned(), json!(value));
        }
    }
    let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
    let mut records = Vec::new();
    loop {
        let left = u32::try_from(limit - records.len())
            .unwrap_or(PAGE)
            .min(PAGE);
        question.insert("limit".to_owned(), json!(left));
        let page: Page = client
            .ask_as("audit__search", Value::Object(question.clone()))
            .await?;
        records.extend(page.records);
        let Some(next) = page.next.filter(|_| records.len() < limit) else {
            break;
        };
        question.insert("before".to_owned(), json!(next));
    }
    if options.connection.json {
        print_json(&records)?;
    } else if records.is_empty() {
        print("no such records")?;
    } else {
        let style = Style::of_stdout(&Environment::of_process());
        print(&table(&Vec::deserialize(Value::Array(records))?, style))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Deserialize)]
struct Lines {
    text: String,
    records: u64,
    next: Option<i64>,
}

async fn export(client: &mut Client, options: &AuditExport) -> anyhow::Result<ExitCode> {
    let Some(path) = &options.out else {
        pages(client, options, print_raw).await?;
        return Ok(ExitCode::SUCCESS);
    };
    // Before anybody is asked: a file that is there is left alone.
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let file =
        file.map_err(|error| BadUsage(format!("cannot make {}: {error}", path.display())))?;
    match write_pages(client, options, file).await {
        Ok(records) if options.connection.json => {
            print_json(&json!({"file": path, "records": records}))?;
        }
        Ok(records) => print(&format!("{records} records written to {}", path.display()))?,
        Err(error) => {
            // It would be taken for a chain that was cut off, and be in the way of the next try.
            fs::remove_file(path).context("cannot remove the unfinished export")?;
            return Err(error);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes an export into a file; answers how many records it has.
async fn write_pages(
    client: &mut Client,
    options: &AuditExport,
    mut file: File,
) -> anyhow::Result<u64> {
    let full = "cannot write the export";
    let write = |text: &str| file.write_all(text.as_bytes()).context(full);
    let records = pages(client, options, write).await?;
    file.sync_all().context(full)?;
    Ok(records)
}

/// Hands an export on, page by page; answers how many records it has.
async fn pages(
    client: &mut Client,
    options: &AuditExport,
    mut write: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut question = span(&options.span);
    let format = match options.format {
        AuditFormat::Jsonl => "jsonl",
        AuditFormat::Cef => "cef",
    };
    question.insert("format".to_owned(), json!(format));
    let mut records = 0;
    loop {
        let lines: Lines = client
            .ask_as("audit__export", Value::Object(question.clone()))
            .await?;
        write(&lines.text)?;
        records += lines.records;
        let Some(next) = lines.next else {
            return Ok(records);
        };
        question.insert("after".to_owned(), json!(next));
    }
}

fn span(span: &Span) -> Map<String, Value> {
    [("since", span.since), ("until", span.until)]
        .into_iter()
        .filter_map(|(name, at)| Some((name.to_owned(), json!(at?.to_string()))))
        .collect()
}
