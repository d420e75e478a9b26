//! `audit__tail`, `audit__search`, `audit__export` and `audit__verify`: the audit records, in pages, so that it does not
//! matter how many there are.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::audit::{Checkpoint, Trust, cef_line, record_line};
use smcp_common::clock::Timestamp;
use smcp_common::queue::{AuditFilter, AuditPiece, AuditRecord};

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::refusal::Refusal;

/// Records in a page of an export at most.
const PAGE: u32 = 2_000;

pub(super) fn all() -> [Builtin; 4] {
    [tail(), search(), export(), verify()]
}

fn tail() -> Builtin {
    Builtin::new(
        "audit__tail",
        "Shows the newest audit records, or those after one, first to last.",
        Changes::Nothing,
        &json!({
            "after": {"type": "integer", "minimum": 0, "description": "Only records after that number, oldest first."},
            "limit": limit(20),
        }),
        &[],
        |app, _, arguments| Box::pin(run_tail(app, arguments)),
    )
    .for_operators()
}

fn search() -> Builtin {
    Builtin::new(
        "audit__search",
        "Looks for audit records, newest first. One call looks through some 20,000 records; next says where to go on.",
        Changes::Nothing,
        &json!({
            "agent": {"type": "string", "description": "Only records of what that agent did."},
            "tool": {"type": "string", "description": "Only records about that tool."},
            "kind": {"type": "string", "description": "Only records of that kind, such as call.denied, or of all that begin so, such as job."},
            "job": {"type": "string", "description": "Only records about that job."},
            "since": time("Only records from that time on"),
            "until": time("Only records before that time"),
            "before": {"type": "integer", "minimum": 1, "description": "Only records before that number: next of the call before."},
            "limit": limit(100),
        }),
        &[],
        |app, _, arguments| Box::pin(run_search(app, arguments)),
    )
    .for_operators()
}

fn export() -> Builtin {
    Builtin::new(
        "audit__export",
        "Gives the audit records as lines of text, in pages: as JSON with hashes and checkpoints, to be verified by smcp audit verify; \
         or in the Common Event Format.",
        Changes::Nothing,
        &json!({
            "format": {"type": "string", "enum": ["jsonl", "cef"], "default": "jsonl", "description": "The form of a line."},
            "after": {"type": "integer", "minimum": 0, "description": "Where to go on: next of the call before."},
            "since": time("Begin with the first record from that time on"),
            "until": time("End before the first record from that time on"),
        }),
        &[],
        |app, _, arguments| Box::pin(run_export(app, arguments)),
    )
    .for_operators()
}

fn verify() -> Builtin {
    Builtin::new(
        "audit__verify",
        "Verifies the audit chain of this server and its checkpoints. Proves nothing against who controls this server: for that, \
         verify an export with a public key and an anchor that are kept elsewhere.",
        Changes::Nothing,
        &json!({}),
        &[],
        |app, _, _| Box::pin(run_verify(app)),
    )
    .for_operators()
}

fn limit(default: u32) -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": default, "description": "At most so many records."})
}

fn time(what: &str) -> Value {
    json!({"type": "string", "description": format!("{what}: RFC 3339, such as 2026-12-01T09:00:00Z.")})
}

#[derive(Deserialize)]
struct Tail {
    after: Option<i64>,
    #[serde(default = "twenty")]
    limit: u32,
}

const fn twenty() -> u32 {
    20
}

async fn run_tail(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let Tail { after, limit } = read(arguments)?;
    let records: Vec<_> = if let Some(after) = after {
        let piece = app.queue.audit_piece(after, limit).await?;
        piece
            .records
            .into_iter()
            .map(|(record, _)| record)
            .collect()
    } else {
        let filter = AuditFilter {
            limit,
            ..AuditFilter::default()
        };
        let page = app.queue.search_audit(filter).await?;
        page.records.into_iter().rev().collect()
    };
    let last = records.last().map(|record| record.seq).or(after);
    let records: Vec<_> = records.iter().map(shown).collect();
    Ok(json!({"records": records, "last": last.unwrap_or(0)}))
}

#[derive(Deserialize)]
struct Search {
    agent: Option<String>,
    tool: Option<String>,
    kind: Option<String>,
    job: Option<String>,
    since: Option<String>,
    until: Option<String>,
    before: Option<i64>,
    #[serde(default = "hundred")]
    limit: u32,
}

const fn hundred() -> u32 {
    100
}

async fn run_search(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let search: Search = read(arguments)?;
    let filter = AuditFilter {
        agent: search.agent,
        kind: search.kind,
        job: search.job,
        tool: search.tool,
        since: instant("since", search.since.as_deref())?,
        until: instant("until", search.until.as_deref())?,
        before: search.before,
        limit: search.limit,
    };
    let page = app.queue.search_audit(filter).await?;
    let records: Vec<_> = page.records.iter().map(shown).collect();
    Ok(json!({"records": records, "next": page.next}))
}

#[derive(Deserialize)]
struct Export {
    #[serde(default)]
    format: Format,
    after: Option<i64>,
    since: Option<String>,
    until: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Jsonl,
    Cef,
}

async fn run_export(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let export: Export = read(arguments)?;
    let since = instant("since", export.since.as_deref())?;
    let until = instant("until", export.until.as_deref())?;
    let after = match (export.after, since) {
        (Some(after), _) => after,
        (None, Some(since)) => app.queue.audit_before(since).await?,
        (None, None) => 0,
    };
    let mut piece = app.queue.audit_piece(after, PAGE).await?;
    let last = piece.records.last().map(|(record, _)| record.seq);
    let end = |record: &AuditRecord| until.is_some_and(|until| record.at >= until);
    let is_over = match piece.records.iter().position(|(record, _)| end(record)) {
        Some(end) => {
            piece.records.truncate(end);
            true
        }
        None => false,
    };
    let is_first = export.after.is_none();
    let lines = match export.format {
        Format::Jsonl => chain(&piece, is_first),
        Format::Cef => {
            let line = |record: &AuditRecord| cef_line(&record.record(), &record.hash);
            piece
                .records
                .iter()
                .map(|(record, _)| line(record))
                .collect()
        }
    };
    let text: String = lines
        .into_iter()
        .flat_map(|line| [line, "\n".to_owned()])
        .collect();
    let next = last.filter(|_| !is_over);
    Ok(json!({"text": text, "records": piece.records.len(), "next": next}))
}

/// Lines that can be verified.
fn chain(piece: &AuditPiece, is_first: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if is_first {
        lines.push(piece.heading.line());
    }
    for (record, checkpoint) in &piece.records {
        lines.push(record_line(&record.record(), &record.hash));
        lines.extend(checkpoint.as_ref().map(Checkpoint::line));
    }
    lines
}

async fn run_verify(app: &App) -> Result<Value, Refusal> {
    let trust = Trust {
        keys: vec![app.audit_key.clone()],
        anchors: Vec::new(),
    };
    let result = app.queue.verify_audit(trust).await?;
    let state = app.queue.audit_state()?;
    Ok(match result {
        Ok(found) => json!({
            "sound": true,
            "records": found.last,
            "signed": found.signed,
            "checkpoints": found.checkpoints,
            "anchored": state.anchored,
            "key": app.audit_key.to_string(),
        }),
        Err(finding) => {
            tracing::error!("the audit chain is broken: {finding}");
            json!({"sound": false, "record": finding.record, "finding": finding.to_string(), "key": app.audit_key.to_string()})
        }
    })
}

fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let found = Timestamp::parse(text);
    found.map(Some).ok_or_else(|| {
        Refusal::invalid_arguments(format!(
            "'{name}' must be a time with its zone, such as 2026-12-01T09:00:00Z."
        ))
    })
}

fn shown(record: &AuditRecord) -> Value {
    let data: Value = serde_json::from_str(&record.data).unwrap_or_default();
    json!({
        "seq": record.seq,
        "at": record.at,
        "kind": record.kind,
        "agent": record.agent,
        "job": record.job,
        "data": data,
        "hash": smcp_common::canonical::hex(&record.hash),
    })
}
